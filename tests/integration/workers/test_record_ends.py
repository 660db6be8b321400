"""Deletions, merges and conversions are kept as ends, each once, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.objects import long_id
from tests.changes import inserted, lead, received, updated
from tests.salesforce import LEAD_ID, ORG_ID, callout
from workers import record_ends
from workers.record_ends import keep_ends

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

CONTACT_ID = long_id("0035g000000000c")
WINNER_ID = "00Q5g0000000win"
ENDED = frozenset({(ORG_ID, LEAD_ID)})


def deleted(**fields: Any) -> ReceivedChange:
    (change,) = received(callout([{"old": lead(**fields)}], operation="delete"))
    return change


async def keep(pool: Pool, *changes: ReceivedChange) -> frozenset[tuple[str, str]]:
    async with pool.acquire() as connection:
        return await keep_ends(connection, changes)


async def kept(pool: Pool) -> list[tuple[str, str | None]]:
    return [tuple(r) for r in await pool.fetch("SELECT kind, successor_id FROM record_end")]


async def test_a_deletion_ends_a_record(pool: Pool) -> None:
    change = deleted(MasterRecordId=None)
    assert await keep(pool, change) == ENDED
    assert await keep(pool, change) == ENDED
    assert await kept(pool) == [("deleted", None)]
    place = await pool.fetchrow("SELECT captured_at, sequence, capture_id FROM record_end")
    assert place is not None
    assert tuple(place) == change.order


async def test_a_merge_ends_a_record_in_favour_of_the_winner(pool: Pool) -> None:
    assert await keep(pool, deleted(MasterRecordId=WINNER_ID)) == ENDED
    assert await kept(pool) == [("merged", long_id(WINNER_ID))]


@pytest.mark.parametrize("odd", ["", "nobody", 5, ["x"], {}, LEAD_ID])
async def test_what_names_no_other_record_is_no_winner(pool: Pool, odd: object) -> None:
    await keep(pool, deleted(MasterRecordId=odd))
    assert await kept(pool) == [("deleted", None)]


async def test_a_conversion_ends_a_lead_in_favour_of_the_contact(pool: Pool) -> None:
    (change,) = received(updated(lead(), lead(ConvertedContactId=CONTACT_ID)))
    assert await keep(pool, change) == ENDED
    assert await kept(pool) == [("converted", CONTACT_ID)]


async def test_a_lead_that_was_converted_before_does_not_end_again(pool: Pool) -> None:
    converted = lead(ConvertedContactId=CONTACT_ID)
    changes = received(
        updated(converted, converted),
        inserted(converted),
        updated(lead(), lead(ConvertedContactId=None)),
        updated(lead(), lead(Note='says "ConvertedContactId"')),
        updated({"Id": CONTACT_ID}, {"Id": CONTACT_ID, "ConvertedContactId": CONTACT_ID}),
        callout(
            [{"old": {"Id": CONTACT_ID}, "new": {"Id": CONTACT_ID, "ConvertedContactId": LEAD_ID}}],
            object="Contact",
        ),
    )
    assert await keep(pool, *changes) == frozenset()
    assert await kept(pool) == []


async def test_a_batch_without_an_end_is_not_even_decoded(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("a record was decoded")

    monkeypatch.setattr(record_ends, "_decode", refuse)
    assert await keep(pool, *received(inserted(lead()), updated(lead(), lead()))) == frozenset()
