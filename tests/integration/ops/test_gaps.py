"""Gaps as operators see them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from click.testing import CliRunner

from ops import gaps, orgs
from ops.__main__ import cli
from ops.gaps import GapField, GapState
from pipeline.objects import SObject
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

INSERT: Final = """
    INSERT INTO gap (org_id, record_id, object, captured_at, sequence, capture_id, stored_at,
                     stored_sequence, stored_capture_id, fields, state, due_at)
    VALUES ($1, $2, $3, $4, 0, 'b', 1795430400000, 0, 'a', $5::text::jsonb, $6, now())"""


async def write(connection: Connection, at: int, state: str = "suspected") -> None:
    sobject, fields = ("Lead", '{"Status": ["Open\\u001a0000", null], "Score__c": [1.50, 2]}')
    await connection.execute(INSERT, ORG_ID, LEAD_ID, sobject, at, fields, state)


async def test_gaps_are_listed_newest_first_by_org_object_and_state(
    connection: Connection,
) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    await write(connection, 1795430401000, "confirmed")
    await write(connection, 1795430402000)

    async def times(
        org_id: str | None = None,
        sobject: SObject | None = None,
        state: GapState | None = None,
        limit: int = 10,
    ) -> list[str]:
        rows = await gaps.listing(
            connection, org_id=org_id, sobject=sobject, state=state, limit=limit
        )
        return [row.captured_at for row in rows]

    both = ["2026-11-23T10:40:02.000Z", "2026-11-23T10:40:01.000Z"]
    assert await times() == await times(ORG_ID, SObject.LEAD) == both
    assert await times("00Dother") == await times(sobject=SObject.TASK) == []
    assert await times(state=GapState.CONFIRMED) == both[1:]
    assert await times(limit=1) == both[:1]
    (row, _) = await gaps.listing(connection, org_id=None, sobject=None, state=None, limit=10)
    assert row.fields["Status"] == GapField("Open\x00", None)
    assert str(row.fields["Score__c"].stored) == "1.50"


async def test_the_command_prints_what_is_missing_between_when_and_when(
    connection: Connection, database_url: str
) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    await write(connection, 1795430401000)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(
            cli, ["gaps", "list", *arguments], env={"PENSTOCK_DATABASE__URL": database_url}
        )
        assert result.exit_code == 0, result.output
        return result.output

    table = await asyncio.to_thread(run)
    assert "Score__c: 1.50 → 2, Status: Open\\x00 → empty" in table
    (told,) = json.loads(await asyncio.to_thread(run, "--org", ORG_ID, "--json"))
    assert told["fields"]["Status"] == {"stored": "Open\x00", "told": None}
    assert (told["record_id"], told["state"]) == (LEAD_ID, "suspected")
    assert told["stored_at"] < told["captured_at"]
    assert "no gaps" in await asyncio.to_thread(run, "--state", "filled", "--object", "lead")
