"""A rule's own webhooks: once a transaction and record, and not for ever."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from tests.integration.workers.enrollments.acts import (
    LEADS,
    START,
    call,
    change,
    process,
    process_each,
    rows,
)
from tests.salesforce import ORG_ID
from workers.enrollments.calls import MAX_CALLS_PER_RECORD_AND_HOUR

if TYPE_CHECKING:
    from pipeline.database import Pool

STATES = "SELECT state, count(*) FROM outbox WHERE kind = 'call' GROUP BY state ORDER BY state"


async def test_a_call_is_told_to_its_url_with_what_it_is_of(pool: Pool) -> None:
    fields = {"name": "Ana", "worth": 12.5}
    await process(pool, change(7, call(fields=fields), capture_id="one"))

    row = await pool.fetchrow(
        "SELECT outbox.*, firing.rule AS fired FROM outbox JOIN firing USING (firing_id)"
    )
    assert row is not None
    expected = ("call", "https://example.com/hook", LEADS[0], 0, "open", "r", None, None)
    names = ("kind", "target", "recipient", "action", "state", "fired", "sequence", "generation")
    assert tuple(row[name] for name in names) == expected
    assert row["idempotency_key"].startswith("call_")
    assert msgspec.json.decode(row["payload"]) == {
        "rule": "r",
        "version": 1,
        "object": "Lead",
        "record_id": LEADS[0],
        "capture_id": "one",
        "captured_at": START + 7,
        "fields": {"name": "Ana", "worth": Decimal("12.5")},
    }


async def test_each_action_calls_for_itself(pool: Pool) -> None:
    await process(pool, change(1, call(), call(), call("other")))
    keys = await rows(pool, "SELECT action, idempotency_key FROM outbox ORDER BY outbox_id")
    assert [key[0] for key in keys] == [0, 0, 1] or [key[0] for key in keys] == [0, 1, 0]
    assert len({key[1] for key in keys}) == 3


@pytest.mark.parametrize("is_tried", [False, True])
async def test_a_firing_that_moves_to_an_earlier_change_does_not_call_twice(
    pool: Pool, *, is_tried: bool
) -> None:
    later = change(2, call(fields={"n": 2}), transaction_id="tx")
    await process(pool, later)
    if is_tried:
        await pool.execute("UPDATE outbox SET attempts = 1")
    await process(pool, change(1, call(fields={"n": 1}), transaction_id="tx"))

    (told,) = await rows(pool, "SELECT payload->'fields'->>'n' FROM outbox")
    assert told == ("2" if is_tried else "1",)


async def test_a_rule_that_calls_itself_is_stopped(pool: Pool) -> None:
    limit = MAX_CALLS_PER_RECORD_AND_HOUR
    await process(pool, *(change(at, call()) for at in range(limit - 1)))
    with structlog.testing.capture_logs() as logs:
        await process_each(pool, [change(1000 + at, call()) for at in range(3)])
    assert await rows(pool, STATES) == [("failed", 2), ("open", limit)]
    (error,) = await rows(pool, "SELECT DISTINCT last_error FROM outbox WHERE state = 'failed'")
    assert error[0].startswith("stopped: ")
    stopped = {"org_id": ORG_ID, "rule": "r", "record_id": LEADS[0], "call_count": 1}
    assert logs == [{"event": "calls_stopped", "log_level": "warning", **stopped}] * 2

    # Another record and another rule are none of it.
    await process(pool, change(2000, call(), record_id=LEADS[1]), change(2001, call("other")))
    assert await rows(pool, STATES) == [("failed", 2), ("open", limit + 2)]

    # An hour later the record is called for again, though what was stopped came between.
    await pool.execute(
        "UPDATE outbox SET created_at = created_at - interval '1 hour' WHERE state = 'open'"
    )
    await process(pool, change(3000, call()))
    assert await rows(pool, STATES) == [("failed", 2), ("open", limit + 3)]


async def test_a_batch_is_stopped_at_the_same_place(pool: Pool) -> None:
    limit = MAX_CALLS_PER_RECORD_AND_HOUR
    await process(pool, *(change(at, call()) for at in range(limit + 5)))
    assert await rows(pool, STATES) == [("failed", 5), ("open", limit)]
