"""What the policies of a queue are to say, and what they may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ops.doctor.finding import Verdict, wrong
from pipeline import topology

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a policy may say without taking anything from what is promised.
_HARMLESS: Final = frozenset(
    {
        "ha-mode",
        "ha-params",
        "ha-sync-mode",
        "initial-cluster-size",
        "queue-leader-locator",
        "stream-max-segment-size-bytes",
        "target-group-size",
    }
)
_LIMIT: Final = "delivery-limit"
# From here on a queue without a delivery limit has one of 20.
_LIMITS_ALL: Final = (4, 0)


def policy_of_queue(
    queue: Mapping[str, Any], version: tuple[int, int], vhost: str
) -> Verdict | None:
    """Return what is wrong with the policies of a queue, as the management API tells of it."""
    name = queue["name"]
    told = queue.get("effective_policy_definition")
    # An empty definition comes as an empty list.
    given = told if isinstance(told, dict) else {}
    meant = topology.policy_of(name)
    odd = sorted(key for key in set(given) - _HARMLESS if given[key] != meant.definition.get(key))
    if odd:
        policy = queue.get("policy") or queue.get("operator_policy") or "?"
        return wrong(
            f"policy {policy!r} gives {name} its own {', '.join(odd)}",
            f"rabbitmqctl clear_policy -p {vhost} {policy}   (or"
            " clear_operator_policy; or have its pattern leave out penstock.*)",
        )
    if version >= _LIMITS_ALL and _LIMIT in meant.definition and _LIMIT not in given:
        wanted = json.dumps({_LIMIT: meant.definition[_LIMIT]})
        return wrong(
            f"{name} lacks its delivery limit: what is handed over 20 times is dropped",
            f"rabbitmqctl set_policy -p {vhost} {meant.name} '{meant.pattern}' '{wanted}'"
            " --priority 10 --apply-to queues",
        )
    return None
