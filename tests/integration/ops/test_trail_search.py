"""How a trail is found by what people know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.errors import OpsError, WrongUsage
from ops.explanation import (
    change,
    explain_capture,
    explain_enrollment_whole,
    explain_record,
)
from pipeline.objects import long_id
from tests.changes import (
    OTHER_ORG_ID,
    add_org,
    inserted,
    lead,
    received,
)
from tests.salesforce import LEAD_ID, ORG_ID, now_ms
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

OWNER_ID = long_id("0055g00000Owner")


@pytest.fixture
async def pool(pool: Pool) -> Pool:
    await add_org(pool)
    return pool


async def process(pool: Pool, *callouts: object) -> None:
    await Processor(pool, retention_days=90).process(received(*callouts))


async def test_what_is_unknown_or_ambiguous_is_said_to_be(
    connection: Connection, pool: Pool
) -> None:
    await process(pool, inserted(lead(), capture_id="old", captured_at=1))
    with pytest.raises(OpsError, match=r"was set aside \(out_of_window\): `penstock dead show 1`"):
        await explain_capture(connection, "old", None)
    with pytest.raises(OpsError, match="there is no change 'new'"):
        await explain_capture(connection, "new", None)
    with pytest.raises(WrongUsage, match="is not the id of a record"):
        await explain_capture(connection, "new/x", None)
    with pytest.raises(OpsError, match="no change of record"):
        await explain_record(connection, OWNER_ID, None, limit=1)
    with pytest.raises(OpsError, match="there is no enrolment 7"):
        await explain_enrollment_whole(connection, 7)

    await add_org(pool, OTHER_ORG_ID)
    for org_id in (ORG_ID, OTHER_ORG_ID):
        await process(pool, inserted(lead(), capture_id="both", org_id=org_id))
    with pytest.raises(WrongUsage, match="several orgs have a change both"):
        await explain_capture(connection, "both", None)
    with pytest.raises(WrongUsage, match="2 orgs have record"):
        await explain_record(connection, LEAD_ID, None, limit=1)
    (one,) = await explain_capture(connection, "both", OTHER_ORG_ID)
    assert one.org_id == OTHER_ORG_ID
    assert (await explain_record(connection, LEAD_ID, ORG_ID, limit=1)).org_id == ORG_ID


async def test_a_capture_is_looked_for_in_no_more_of_the_history_than_was_said(
    connection: Connection, pool: Pool
) -> None:
    at = now_ms()
    for number, name in enumerate(("old", "new")):
        await process(pool, inserted(lead(), captured_at=at + number, capture_id=name))
    (found,) = await explain_capture(connection, "new", None, newest_count=1)
    assert found.capture_id == "new"
    with pytest.raises(OpsError, match=r"among the newest 1, .*`penstock explain old`"):
        await explain_capture(connection, "old", None, newest_count=1)
    # By its record it is found wherever it is.
    (found,) = await explain_capture(connection, f"old/{LEAD_ID}", None, newest_count=1)
    assert found.capture_id == "old"
    for text in ("two words", "x" * 65, "é", ""):
        with pytest.raises(WrongUsage, match="neither a record nor a capture"):
            await explain_capture(connection, text, None, newest_count=1)


async def test_a_capture_of_a_record_is_found_by_the_records_index(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute(change._KEY_ONLY)  # noqa: SLF001  its very statement
        rows = await connection.fetch(
            f"EXPLAIN {change._FIND_OF_RECORD}",  # noqa: SLF001  its very statement
            "capture", None, 200, LEAD_ID,
        )  # fmt: skip
    plan = "\n".join(row[0] for row in rows)
    assert "org_id_record_id_captured_at_idx" in plan
    assert "pkey on change" not in plan
