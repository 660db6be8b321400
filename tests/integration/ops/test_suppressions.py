"""The suppression list as operators keep it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops import orgs, suppressions
from ops.__main__ import cli
from ops.errors import OpsError, WrongUsage
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection


async def listed(connection: Connection, org_id: str | None = None) -> list[tuple[str, str | None]]:
    rows = await suppressions.listing(connection, org_id=org_id, limit=100)
    return [(row.value, row.org_id) for row in rows]


async def test_entries_are_kept_in_one_form_and_once(connection: Connection) -> None:
    texts = ["Ana@X.org", "ana@x.org", "@MÜNCHEN.example", "xn--mnchen-3ya.example"]
    rows = await suppressions.add(connection, texts, org_id=None, reason="asked to")
    assert [(row.value, row.reason) for row in rows] == [
        ("ana@x.org", "asked to"),
        ("xn--mnchen-3ya.example", "asked to"),
    ]
    again = await suppressions.add(connection, ["ana@x.org"], org_id=None, reason=None)
    assert again[0].reason == "asked to"
    assert len(await listed(connection)) == 2


async def test_an_orgs_own_entry_stands_beside_that_of_all(connection: Connection) -> None:
    for org_id in (ORG_ID, None, "00Dother"):
        await suppressions.add(connection, ["x.org"], org_id=org_id, reason=None)
    assert await listed(connection, ORG_ID) == [("x.org", None), ("x.org", ORG_ID)]
    await suppressions.remove(connection, ["X.ORG"], org_id=None)
    assert await listed(connection) == [("x.org", ORG_ID), ("x.org", "00Dother")]


async def test_all_or_none_are_removed(connection: Connection) -> None:
    await suppressions.add(connection, ["x.org"], org_id=None, reason=None)
    with pytest.raises(OpsError, match=r"not on the list of all orgs: y\.org"):
        await suppressions.remove(connection, ["x.org", "y.org"], org_id=None)
    assert await listed(connection) == [("x.org", None)]


@pytest.mark.parametrize("text", ["ana", "com", "ana@", "a b@x.org", "x..org", "*.x.org", "", "@"])
async def test_what_is_neither_an_address_nor_a_domain_is_refused(
    connection: Connection, text: str
) -> None:
    with pytest.raises(WrongUsage, match=r"write ana@example\.com or example\.com"):
        await suppressions.add(connection, ["x.org", text], org_id=None, reason=None)
    assert await listed(connection) == []


async def test_the_commands_add_list_and_remove(connection: Connection, database_url: str) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)

    def told(*arguments: str) -> str:
        environment = {"PENSTOCK_DATABASE__URL": database_url}
        result = CliRunner().invoke(cli, ("suppress", *arguments), env=environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    # Each command has a loop of its own, as in a process of its own.
    def commands() -> None:
        assert told("list") == "nothing is suppressed\n"
        added = told("add", "x.org", "ana@y.org", "--reason", "legal")
        assert added == "suppressed for every org: ana@y.org, x.org\n"
        assert told("add", "x.org", "--org", ORG_ID) == f"suppressed for org {ORG_ID}: x.org\n"
        rows = json.loads(told("list", "--json"))
        assert [(row["value"], row["org_id"], row["reason"]) for row in rows] == [
            ("ana@y.org", None, "legal"),
            ("x.org", None, "legal"),
            ("x.org", ORG_ID, None),
        ]
        assert "legal" in told("list")
        assert told("remove", "x.org") == "no longer suppressed for every org: x.org\n"

    await asyncio.to_thread(commands)
