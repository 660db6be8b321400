"""The relay against a Mixmax that answers with every status, and fails in every way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.settings import Secret
from tests.outbox_rows import add, elapse, leave, standing, told, treat

if TYPE_CHECKING:
    from pipeline.database import Pool
    from tests.integration.workers.relay.conftest import OpenRelay
    from tests.mixmax import Mixmax
    from workers.relay.service import Relay

ROWS = "recipient, state, last_error"


async def add_to_mixmax(pool: Pool, *recipients: str, generation: int = 1) -> list[int]:
    return await add(pool, *recipients, target="mixmax", generation=generation)


async def step_until_settled(pool: Pool, relay: Relay) -> int:
    """Step until nothing is open, through what pauses Mixmax asks for; return how often it took."""
    steps = 0
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT count(*) FROM outbox WHERE state = 'open'"):
            await elapse(pool)
            steps += await relay.step() > 0
            assert steps < 10
    return steps


async def test_a_batch_goes_in_one_request_and_each_status_counts_for_itself(
    pool: Pool, relay: Relay, mixmax: Mixmax
) -> None:
    mixmax.statuses = {"un@x.org": "unsubscribed", "err@x.org": "error", "odd@x.org": "later"}
    mixmax.missing = {"miss@x.org"}
    await treat(pool, target="mixmax", target_id="5f/1", enrich=True)
    await add_to_mixmax(
        pool, "ana@x.org", "un@x.org", "err@x.org", "odd@x.org", "miss@x.org", "bo@x.org"
    )
    assert await relay.step() == 6

    ((path, body),) = mixmax.requests
    assert path == "/sequences/5f/1/recipients/"
    assert body["recipients"][0] == {"email": "ana@x.org", "variables": {"rating": "Hot"}}
    assert (body["enrich"], body["allowMissingVariables"]) == (True, False)
    assert await told(pool, ROWS) == [
        ("ana@x.org", "delivered", None),
        ("un@x.org", "failed", "unsubscribed"),
        ("err@x.org", "failed", "variable missing"),
        ("odd@x.org", "open", "the target answered with the status 'later'"),
        ("miss@x.org", "open", "the target's answer does not name the recipient"),
        ("bo@x.org", "delivered", None),
    ]
    assert (await standing(pool))[:3] == [
        ("ana@x.org", "active", None),
        ("un@x.org", "failed", "unsubscribed"),
        ("err@x.org", "failed", "variable missing"),
    ]


async def test_more_than_a_hundred_go_in_several_requests(
    pool: Pool, relay: Relay, mixmax: Mixmax
) -> None:
    await add_to_mixmax(pool, *(f"lead{number}@x.org" for number in range(250)))
    while await relay.step():
        pass
    assert sorted(len(body["recipients"]) for _, body in mixmax.requests) == [50, 100, 100]
    assert len(mixmax.added) == 250


@pytest.mark.parametrize(
    "trouble", ["429", "500", "401", "lost answer", "garbage", "endless", "hang"]
)
async def test_whatever_goes_wrong_everyone_is_added_once_in_the_end(
    pool: Pool, open_relay: OpenRelay, mixmax: Mixmax, trouble: str
) -> None:
    mixmax.fails = [trouble]
    await add_to_mixmax(pool, "ana@x.org", "bo@x.org")
    async with open_relay(timeout_s=0.3) as relay:
        await relay.step()
        assert {state for _, state in await told(pool)} == {"open"}
        assert await step_until_settled(pool, relay) == 1
    assert {state for _, state in await told(pool)} == {"delivered"}
    assert [state for _, state, _ in await standing(pool)] == ["active", "active"]
    assert list(mixmax.twice()) == []
    assert len(mixmax.added) == 2


@pytest.mark.parametrize(
    "case",
    [(1, None, "delivered"), (2, None, "failed"), (2, "429", "failed"), (2, "500", "delivered")],
)
async def test_duplicated_is_delivered_only_if_it_may_be_our_own_doing(
    pool: Pool, relay: Relay, mixmax: Mixmax, case: tuple[int, str | None, str]
) -> None:
    generation, trouble, state = case
    mixmax.statuses["ana@x.org"] = "duplicated"
    mixmax.fails = [] if trouble is None else [trouble]
    await add_to_mixmax(pool, "ana@x.org", generation=generation)
    await step_until_settled(pool, relay)
    error = "duplicated" if state == "failed" else None
    assert await told(pool, ROWS) == [("ana@x.org", state, error)]


async def test_one_whom_mixmax_will_not_have_harms_no_other(
    pool: Pool, relay: Relay, mixmax: Mixmax
) -> None:
    mixmax.blamed = {"bad@x.org"}
    await add_to_mixmax(pool, "ana@x.org", "bad@x.org", "bo@x.org")
    await relay.step()
    assert [len(body["recipients"]) for _, body in mixmax.requests] == [3, 1, 1, 1]
    (_, bad, _) = await told(pool, ROWS)
    assert bad[1] == "failed"
    assert "invalid recipient" in bad[2]
    assert [state for _, state in await told(pool)] == ["delivered", "failed", "delivered"]


async def test_a_wrong_token_holds_all_until_it_is_put_right(
    pool: Pool, relay: Relay, open_relay: OpenRelay, mixmax: Mixmax
) -> None:
    await add_to_mixmax(pool, "ana@x.org", "bo@x.org")
    async with open_relay(mixmax_token=Secret("wrong")) as mistaken:
        await mistaken.step()
    assert {row[1:] for row in await told(pool, ROWS)} == {("open", "the target answered 401")}
    await step_until_settled(pool, relay)
    assert len(mixmax.added) == 2


async def test_an_exit_cancels_the_recipient_and_one_who_is_not_there_is_no_error(
    pool: Pool, relay: Relay, mixmax: Mixmax
) -> None:
    ana, bo = await add_to_mixmax(pool, "ana@x.org", "bo@x.org")
    await relay.step()
    del mixmax.added["nurture", "bo@x.org"]
    await leave(pool, ana, bo, target="mixmax")
    await relay.step()
    assert mixmax.requests[-1] == (
        "/sequences/nurture/cancel",
        {"emails": ["ana@x.org", "bo@x.org"]},
    )
    assert mixmax.cancelled == {("nurture", "ana@x.org")}
    assert {state for _, state in await told(pool)} == {"delivered"}


async def test_sequences_and_their_flags_have_requests_of_their_own(
    pool: Pool, relay: Relay, mixmax: Mixmax
) -> None:
    await treat(pool, sequence="one", target="mixmax", allow_missing_variables=True)
    await add(pool, "ana@x.org", sequence="one", target="mixmax")
    await add(pool, "bo@x.org", sequence="two", target="mixmax")
    await relay.step()
    told_of = sorted((path, body["allowMissingVariables"]) for path, body in mixmax.requests)
    assert told_of == [("/sequences/one/recipients/", True), ("/sequences/two/recipients/", False)]


@pytest.mark.parametrize("trouble", ["500", "garbage"])
async def test_rows_that_fail_together_three_times_are_tried_one_by_one(
    pool: Pool, relay: Relay, mixmax: Mixmax, trouble: str
) -> None:
    mixmax.fails = [trouble] * 3
    await add_to_mixmax(pool, "ana@x.org", "bo@x.org")
    assert await step_until_settled(pool, relay) == 3
    assert [len(body["recipients"]) for _, body in mixmax.requests] == [2, 2, 2, 1, 1]
    assert {state for _, state in await told(pool)} == {"delivered"}
    assert len(mixmax.added) == 2
