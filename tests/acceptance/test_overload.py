"""Three times what the machine sustains; `make overload` measures it for longer, with figures.

Bounds are wide, since the machine has other things to do. Without admission, what waits at the end
would be twice the load's length of work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.overload.flood import ACCEPTED, TOO_MANY, UNAVAILABLE, flood

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

LOAD_S = 10.0
MAX_GROWTH_BYTES = 100 * 1024 * 1024


async def test_three_times_what_is_sustained_is_shed_and_done_with(
    penstock: PenstockProcesses,
) -> None:
    del penstock.environment["PENSTOCK_INGEST__BACKLOG_S"]
    outcome = await flood(penstock, warm_s=6, seconds=LOAD_S, change_count=10, rules="")
    assert outcome.statuses.keys() <= {ACCEPTED, TOO_MANY, UNAVAILABLE}, outcome
    assert outcome.statuses.get(TOO_MANY), outcome
    assert outcome.too_many.p50_s < 1, outcome
    assert 1 <= outcome.most_retry_after_s <= 60, outcome
    assert TOO_MANY not in outcome.quiet_statuses, outcome
    assert outcome.quiet_waits.longest_s < LOAD_S, outcome
    assert outcome.memory_peak_bytes - outcome.memory_before_bytes < MAX_GROWTH_BYTES, outcome
    assert (outcome.lost_count, outcome.doubled_count) == (0, 0), outcome
    assert outcome.drained_s < LOAD_S, outcome
    assert outcome.statuses_after.keys() == {ACCEPTED}, outcome
    assert outcome.waits_after.p50_s < 1, outcome
