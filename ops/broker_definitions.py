"""RabbitMQ's definitions: what Penstock needs there, written from the code that declares it.

`make docs` writes two files to `deploy/rabbitmq/`; a test sees that it was done. `definitions.json`
may be imported as often as one likes; `users.json` once, since it takes passwords away.

Source: RabbitMQ documentation, "Schema Definition Export and Import", "Access Control".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline import progress, topology

if TYPE_CHECKING:
    from collections.abc import Mapping

VHOST: Final = "penstock"
# Above policies that are for all queues.
_PRIORITY: Final = 10


class Permissions(NamedTuple):
    """What a user may do in the virtual host: regular expressions of names."""

    configure: str
    write: str
    read: str


NOTHING: Final = "^$"
# A user for each kind of process, which may do what it has to. The relay needs none.
USERS: Final = {
    "ingest": Permissions(
        r"^penstock\.progress", r"^penstock\.(changes$|progress\.)", r"^penstock\.progress"
    ),
    "worker": Permissions(
        r"^penstock\.progress$", r"^penstock\.progress$", r"^penstock\.(changes|dead)\."
    ),
    "console": Permissions(NOTHING, r"^(penstock\.replay|amq\.default)$", r"^penstock\.log$"),
    "operator": Permissions(r"^penstock\.", r"^(penstock\..*|amq\.default)$", r"^penstock\."),
}
# What the doctor asks the management API as: it sees everything and touches no message.
MONITOR: Final = "monitor"
_MONITORING: Final = "monitoring"


def definitions() -> dict[str, list[dict[str, Any]]]:
    """Return the virtual host, and all that is declared in it."""
    return {
        "vhosts": [{"name": VHOST}],
        "policies": [
            {
                "name": policy.name,
                "vhost": VHOST,
                "pattern": policy.pattern,
                "apply-to": "queues",
                "priority": _PRIORITY,
                "definition": policy.definition,
            }
            for policy in topology.POLICIES
        ],
        "exchanges": [
            *(_exchange(name, "topic") for name in topology.EXCHANGES),
            _exchange(progress.EXCHANGE, "fanout"),
        ],
        "queues": [
            {
                "name": name,
                "vhost": VHOST,
                "durable": True,
                "auto_delete": False,
                "arguments": topology.queue_arguments(name),
            }
            for name in topology.queue_names()
        ],
        "bindings": [
            {
                "source": binding.exchange,
                "vhost": VHOST,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.routing_key,
                "arguments": {},
            }
            for binding in topology.bindings()
        ],
    }


def users() -> dict[str, list[dict[str, Any]]]:
    """Return the users and what each may do. By an empty hash nobody can log in."""
    permissions = {**USERS, MONITOR: Permissions(NOTHING, NOTHING, NOTHING)}
    return {
        "users": [
            {
                "name": name,
                "password_hash": "",
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": _MONITORING if name == MONITOR else "",
            }
            for name in permissions
        ],
        "permissions": [
            {"user": name, "vhost": VHOST, **allowed._asdict()}
            for name, allowed in permissions.items()
        ],
    }


def files() -> Mapping[str, str]:
    """Return the text of each file by its name."""
    documents = {"definitions.json": definitions(), "users.json": users()}
    return {name: json.dumps(told, indent=2) + "\n" for name, told in documents.items()}


def _exchange(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": VHOST,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def write(folder: Path) -> None:
    """Write the files into a folder."""
    for name, text in files().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
