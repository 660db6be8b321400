from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.doctor.policies import policy_of_queue
from pipeline import topology
from pipeline.objects import SObject

if TYPE_CHECKING:
    from ops.doctor.finding import Verdict

LEADS = topology.queue_name(SObject.LEAD)
DEAD_LEADS = topology.dead_queue_name(SObject.LEAD)
OLD, NEW = (3, 10), (4, 2)


def problem(name: str, given: object, version: tuple[int, int] = NEW) -> Verdict | None:
    queue = {"name": name, "policy": "theirs", "effective_policy_definition": given}
    return policy_of_queue(queue, version, "penstock")


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("name", topology.queue_names())
def test_the_policies_that_penstock_brings_are_right(name: str, version: tuple[int, int]) -> None:
    assert problem(name, topology.policy_of(name).definition, version) is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (LEADS, {"delivery-limit": 3}),
        (DEAD_LEADS, {"delivery-limit": 3}),
        (topology.LOG, {"max-age": "1D"}),
    ],
)
def test_one_that_takes_something_away_is_told(name: str, given: dict[str, object]) -> None:
    verdict = problem(name, given)
    assert verdict is not None
    assert f"policy 'theirs' gives {name} its own {next(iter(given))}" in verdict.told


def test_a_dead_queue_without_a_limit_of_its_own_is_told_where_the_default_drops() -> None:
    # An empty definition comes as an empty list.
    verdict = problem(DEAD_LEADS, [])
    assert verdict is not None
    assert "dropped" in verdict.told
    assert "rabbitmqctl set_policy -p penstock penstock-dead" in (verdict.mend or "")
    assert problem(DEAD_LEADS, [], OLD) is None
    assert problem(LEADS, []) is None
