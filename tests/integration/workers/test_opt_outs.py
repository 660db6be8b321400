"""Who does not want mail, or cannot be reached by it, as the newest state of each record says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import Raw

from tests.changes import inserted, lead, received, updated
from tests.salesforce import LEAD_ID, callout, now_ms
from workers import opt_outs
from workers.opt_outs import keep_opt_outs

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

ANA: Final = "ana@example.com"
OUT: Final = {"HasOptedOutOfEmail": True}
BOUNCED: Final = {"EmailBouncedDate": "2026-05-01T12:00:00.000+0000"}
IN: Final = {"HasOptedOutOfEmail": False}


async def keep(pool: Pool, *changes: ReceivedChange) -> list[tuple[Any, ...]]:
    """Return (address, opted_out, bounced) of every row, once the changes are kept."""
    async with pool.acquire() as connection:
        await keep_opt_outs(connection, changes)
    rows = await pool.fetch("SELECT address, opted_out, bounced FROM opt_out ORDER BY record_id")
    return [tuple(row) for row in rows]


async def test_what_a_record_says_is_kept_with_its_normalised_address(pool: Pool) -> None:
    changes = received(
        inserted(lead(Email=" Ana@Example.com ", **OUT)),
        inserted(lead(Id="00Q5g0000000001AAA", **BOUNCED)),
        inserted(lead(Id="00Q5g0000000002AAA", Email="nobody", **OUT, **BOUNCED)),
    )
    expected = {(ANA, True, False), (ANA, False, True), (None, True, True)}
    assert set(await keep(pool, *changes)) == expected


async def test_whitespace_in_the_text_does_not_hide_it(pool: Pool) -> None:
    text = f'{{"Id": "{LEAD_ID}", "Email": "{ANA}", "HasOptedOutOfEmail" :\n true}}'
    assert await keep(pool, *received(inserted(Raw(text.encode())))) == [(ANA, True, False)]


async def test_taking_it_back_is_kept_too(pool: Pool) -> None:
    at = now_ms()
    await keep(pool, *received(inserted(lead(**OUT), captured_at=at)))
    back = received(updated(lead(**OUT), lead(**IN), captured_at=at + 1))
    assert await keep(pool, *back) == [(ANA, False, False)]


async def test_the_last_writer_wins_whatever_the_order_of_arrival(pool: Pool) -> None:
    at = now_ms()
    moved = lead(Email="new@example.com", **OUT)
    earlier = received(updated(lead(**IN), lead(**OUT), captured_at=at))
    later = received(updated(lead(**OUT), moved, captured_at=at + 1))
    assert await keep(pool, *later) == [("new@example.com", True, False)]
    assert await keep(pool, *earlier) == [("new@example.com", True, False)]
    assert await keep(pool, *later, *earlier, *later) == [("new@example.com", True, False)]


async def test_a_deleted_records_row_stays(pool: Pool) -> None:
    gone = callout([{"old": lead(**OUT)}], operation="delete")
    assert await keep(pool, *received(gone)) == [(ANA, True, False)]


async def test_contacts_say_it_as_well_and_no_other_object(pool: Pool) -> None:
    record = {"Id": "0035g000000000cAAA", "Email": ANA, **OUT}
    assert await keep(pool, *received(inserted(record, object="User"))) == []
    assert await keep(pool, *received(inserted(record, object="Contact"))) == [(ANA, True, False)]


async def test_records_that_say_nothing_of_it_are_not_even_decoded(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("a record was decoded")

    monkeypatch.setattr(opt_outs, "_decode", refuse)
    says_it_in_words = lead(Note='"HasOptedOutOfEmail":true', EmailBouncedDate=None, **IN)
    assert await keep(pool, *received(inserted(lead()), inserted(says_it_in_words))) == []


@pytest.mark.parametrize("odd", [5, ["x"], {"y": 1}, "\x00@x.org"])
async def test_odd_values_harm_nobody(pool: Pool, odd: object) -> None:
    record = lead(Email=odd, HasOptedOutOfEmail=True, EmailBouncedDate=odd)
    assert await keep(pool, *received(inserted(record))) == [(None, True, True)]


async def test_a_person_account_says_it_by_fields_of_its_own(pool: Pool) -> None:
    person = {"Id": "0015g0000PersonAAA", "PersonEmail": ANA, "PersonHasOptedOutOfEmail": True}
    assert await keep(pool, *received(inserted(person, object="Account"))) == [(ANA, True, False)]
