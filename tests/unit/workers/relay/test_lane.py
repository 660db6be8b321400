from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pipeline.settings import Relay
from tests.servers import until
from tests.unit.workers.relay.claims import claim
from workers.relay import outbox
from workers.relay.breaker import Open
from workers.relay.lane import Lane
from workers.relay.targets.answers import Delivered, Held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Pool
    from workers.relay.claim import Claim
    from workers.relay.outbox import Outcome
    from workers.relay.targets.answers import Answer

NO_POOL = cast("Pool", None)


class Rows:
    """An outbox with some rows in it, all of them due; what they were settled as, by recipient."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *recipients: str) -> None:
        self.settled: dict[str, Outcome] = {}
        self.error: Exception | None = None
        self._due = [
            claim(outbox_id=number, recipient=recipient)
            for number, recipient in enumerate(recipients)
        ]
        monkeypatch.setattr(outbox, "claim", self._claim)
        monkeypatch.setattr(outbox, "settle", self._settle)

    async def _claim(self, _: Pool, *, limit: int, lease_s: float, target: str) -> list[Claim]:
        del lease_s, target
        if self.error is not None:
            raise self.error
        return self._due[:limit]

    async def _settle(self, _: Pool, outcomes: Sequence[Outcome]) -> None:
        self.settled |= {one.claim.recipient: one for one in outcomes}


class Target:
    """Takes all, but asks for a pause over `ana`, and tells others nothing before that is known."""

    claim_count = 10

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.told: list[str] = []

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        return [[one] for one in claims]

    async def deliver(self, batch: Sequence[Claim]) -> list[Answer]:
        (one,) = batch
        self.told.append(one.recipient)
        if one.recipient == "ana":
            return [Held("asked to wait", 90.0, is_known=True)]
        if (own := self.lane) is not None:
            await until(lambda: not own.is_ready)
        return [Delivered()]


@pytest.fixture
def target() -> Target:
    return Target()


def lane(target: Target, *, lease_s: float = 60.0, timeout_s: float = 15.0) -> Lane:
    settings = Relay(requests_per_s=1_000_000, lease_s=lease_s, timeout_s=timeout_s)
    return Lane("webhook", target, settings, NO_POOL)


async def test_an_answer_that_comes_later_does_not_end_the_pause_that_another_asked_for(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    rows = Rows(monkeypatch, "bo", "ana")
    own = target.lane = lane(target)
    assert await own.step() == 2
    assert [rows.settled[name].state for name in ("ana", "bo")] == ["open", "delivered"]
    assert not own.is_ready


async def test_a_step_that_fails_leaves_the_lane_as_ready_as_it_was(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    rows = Rows(monkeypatch, "bo")
    own = lane(target)
    own.breaker.state = Open(until_s=0.0, pause_s=5.0)
    rows.error = ConnectionError("the database is away")
    for _ in range(10):
        assert own.is_ready
        with pytest.raises(ConnectionError):
            await own.step()
    rows.error = None
    assert await own.step() == 1
    assert own.is_idle


async def test_nothing_is_sent_that_may_not_be_answered_within_its_lease(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    rows = Rows(monkeypatch, "bo")
    await lane(target, lease_s=30.0, timeout_s=30.0).step()
    assert target.told == []
    assert rows.settled["bo"].untried
