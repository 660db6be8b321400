"""Fifteen kinds of fault, five at once; and the proof that a worker's bug would be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos import campaign, plan
from tests.chaos.plan import KINDS, Fault, Harm, Round, Seat
from tests.chaos.planted import start_with
from tests.chaos.report import report
from tests.chaos.servers import running_servers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.starting import Forks

SEED: Final = 1336
MINUTES: Final = 0.3
KINDS_AT_LEAST: Final = 15


def test_a_plan_hangs_on_its_seed_alone_and_deals_every_kind() -> None:
    rounds = plan.draw(SEED, 8)
    assert rounds == plan.draw(SEED, 8)
    assert rounds != plan.draw(SEED + 1, 8)
    assert {fault.kind for one in rounds for fault in one.faults} == set(plan.KINDS)
    for one in rounds:
        assert len({fault.kind.seat for fault in one.faults}) == len(one.faults)


@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_whatever_fails(tmp_path: Path, forks: Forks) -> None:
    rounds = plan.draw(SEED, MINUTES, together=5)
    assert len({fault.kind for one in rounds for fault in one.faults}) >= KINDS_AT_LEAST
    async with running_servers() as servers:
        outcome = await campaign.run(servers, rounds, SEED, tmp_path, print, start=forks)
        print(report([outcome]))  # noqa: T201  shown when it fails
        assert outcome.change_count
        assert not outcome.broken

        # The same with workers that settle before they commit.
        bug = start_with("ack before commit")
        hurt = killed_while_it_holds()
        seen = await campaign.run(servers, hurt, SEED, tmp_path, print, start=bug)
        assert any("changes that are missing" in promise for promise in seen.broken)
        assert any(" lost:" in promise for promise in seen.broken)


def killed_while_it_holds() -> list[Round]:
    """Return a round that kills a worker while the database keeps it from committing."""
    (frozen,) = (k for k in KINDS if (k.seat, k.harm) == (Seat.DATABASE, Harm.FREEZE))
    (killed,) = (k for k in KINDS if (k.seat, k.harm) == (Seat.WORKER, Harm.KILL))
    return [Round((Fault(frozen, 0.0, 2.5, 0.0), Fault(killed, 1.5, 0.1, 0.0)), 0.0)]
