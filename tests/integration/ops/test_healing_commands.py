"""What `penstock org load`, `org loads`, `org list`, `org show` and `audit` print and refuse."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
from click.testing import CliRunner

from ops.__main__ import cli
from tests.changes import QUALIFIED_RULE
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

HEARTBEAT: Final = (
    "INSERT INTO heartbeat VALUES ($1, now() - interval '12 minutes',"
    " now() - interval '3 hours', '0.2.0', '65.0', 2100, 5, 2, 120, 250000, 1)"
)
BEGIN_NOW: Final = "\n    Penstock.heartbeat();\n"


@pytest.fixture
def call(database_url: str) -> Callable[..., Result]:
    """Run a command."""

    def called(*arguments: str, exit_code: int = 0) -> Result:
        environment = {"PENSTOCK_DATABASE__URL": database_url}
        result = CliRunner().invoke(cli, arguments, env=environment)
        assert result.exit_code == exit_code, result.output
        return result

    called("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)
    return called


@pytest.fixture
def execute(database_url: str) -> Callable[..., None]:
    """Write to the database what an org or a worker would."""

    async def executed(statement: str, *values: object) -> None:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    return lambda statement, *values: asyncio.run(executed(statement, *values))


def test_a_load_is_started_watched_and_withdrawn(
    call: Callable[..., Result], execute: Callable[..., None]
) -> None:
    told = call("org", "load", ORG_ID, "--object", "lead").stdout
    assert told.startswith(f"org {ORG_ID} is asked for its records of Lead.\n")
    assert "It is not connected yet, and is asked once it is." in told
    execute("UPDATE org SET secret = 'in use', connected_at = now()")
    told = call("org", "load", ORG_ID, "--object", "Task", "--object", "Lead").stdout
    assert "is asked for its records of Task." in told
    assert "Lead is asked for already: 0, waiting" in told
    assert BEGIN_NOW in told
    assert told.endswith(f"`penstock org loads {ORG_ID}` shows how far it is.\n")
    execute(
        "UPDATE request SET total_count = 12000, sent_count = 3000, heard_at = now(),"
        " began_at = now() - interval '1 minute' WHERE object = 'Lead'"
    )
    lines = call("org", "loads").stdout.splitlines()
    lead = " ".join(lines[1].split())
    assert lead == "Lead running 3,000 of 12,000 (25%) 50/s 3 min command 1 min ago 0 s ago"
    started = json.loads(call("org", "load", ORG_ID, "--object", "Lead", "--json").stdout)
    assert (started["begun"], started["loads"][0]["left_s"]) == ([], 180)
    # It ends as soon as nothing is open.
    execute("UPDATE request SET state = 'done' WHERE object = 'Task'")
    told = call("org", "load", ORG_ID, "--cancel").stdout
    assert told == f"org {ORG_ID} is no longer asked for Lead; what came stays\n"
    states = [one["state"] for one in json.loads(call("org", "loads", ORG_ID, "--json").stdout)]
    assert states == ["withdrawn", "done"]

    result = call("org", "load", ORG_ID, "--cancel", exit_code=1)
    assert "no load is under way" in result.stderr
    result = call("org", "load", ORG_ID, "--cancel", "--since", "7d", exit_code=2)
    assert "--cancel and --since exclude each other" in result.stderr


def test_a_load_is_followed_until_nothing_of_it_is_open(
    call: Callable[..., Result], execute: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("UPDATE org SET secret = 'in use', connected_at = now()")

    async def finish(_: float) -> None:
        await asyncio.to_thread(
            execute, "UPDATE request SET state = 'done', sent_count = 7, settled_at = now()"
        )

    monkeypatch.setattr("ops.commands.org_load.pause", finish)
    told = call("org", "load", ORG_ID, "--object", "Lead", "--follow").stdout
    assert "7, done" in told
    assert "shows how far it is" not in told

    async def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ops.commands.org_load.pause", interrupt)
    told = call("org", "load", ORG_ID, "--object", "Lead", "--follow").stdout
    assert "The load goes on by itself: `penstock org loads" in told


def test_rules_say_what_they_load(
    call: Callable[..., Result], execute: Callable[..., None], tmp_path: Path
) -> None:
    execute("UPDATE org SET secret = 'in use', connected_at = now()")
    rules = tmp_path / "rules.yaml"
    rules.write_text(QUALIFIED_RULE)
    planned = call("rules", "apply", str(rules), "--dry-run").stderr
    newly = "asked for all records of Contact (newly needed), Lead (newly needed)."
    assert f"Salesforce would be {newly}\n" in planned
    assert "org loads" not in planned
    applied = call("rules", "apply", str(rules), "--json")
    assert f"Salesforce is {newly}\n`penstock org loads {ORG_ID}` shows how far" in applied.stderr
    assert json.loads(applied.stdout)["loads"] == [
        {"object": name, "cause": "synced", "fields": []} for name in ("Contact", "Lead")
    ]
    watched = call("org", "watch", ORG_ID, "Lead.Rating")
    assert "asked for all records of Lead (Rating newly watched)." in watched.stderr
    shown = " ".join(call("org", "show").stdout.split())
    assert "sends Contact EmailBouncedDate, HasOptedOutOfEmail" in shown
    assert "watched besides Lead.Rating" in shown


def test_what_an_org_told_of_itself_is_listed_in_120_columns(
    call: Callable[..., Result], execute: Callable[..., None]
) -> None:
    (silent,) = json.loads(call("org", "list", "--json").stdout)
    assert (silent["heard_at"], silent["heartbeat"], silent["conditions_up_to_date"]) == (None,) * 3
    assert "never" in call("org", "show").stdout
    execute("UPDATE org SET secret = 'in use', connected_at = now(), conditions_version = 12")
    execute(HEARTBEAT, ORG_ID)
    header, line = call("org", "list").stdout.splitlines()
    assert len(header) <= 120
    assert " ".join(line.split()) == (
        f"{ORG_ID} connected 0.2.0 12 min ago 5 + 2 to look at 120 of 250,000 +2.1 s behind"
    )
    assert len(line.rstrip()) <= 120
    (listed,) = json.loads(call("org", "list", "--json").stdout)
    assert listed["heartbeat"] == {
        "beat_at": listed["heartbeat"]["beat_at"],
        "api_version": "65.0",
        "clock_skew_ms": 2100,
        "parked_count": 5,
        "overflow_count": 2,
        "async_used_count": 120,
        "async_limit_count": 250_000,
        "conditions_version": 1,
    }
    assert (listed["package_version"], listed["conditions_up_to_date"]) == ("0.2.0", False)
    shown = call("org", "show", ORG_ID).stdout
    assert "everything, while no rule reads anything" in shown
    assert "3 h ago, overdue: look for Penstock" in shown
    assert "version 1, behind" in shown
    assert json.loads(call("org", "show", "--json").stdout) == listed


def test_an_audit_is_started_shown_allowed_cancelled_and_scheduled(
    call: Callable[..., Result], execute: Callable[..., None]
) -> None:
    assert "no audit yet" in call("audit", "show").stdout
    told = call("audit", ORG_ID, "--object", "lead").stdout
    assert "It begins once the org is connected and not paused; it is not connected." in told
    again = call("audit", "start", ORG_ID[:15], exit_code=1).stderr
    assert f"an audit of org {ORG_ID} is under way: `penstock audit show {ORG_ID}`" in again
    execute(
        "INSERT INTO audit_finding (audit_id, record_id, object, kind, stored_at)"
        " SELECT audit_id, '00Q5g00000HotLdEAJ', 'Lead', 'extra', 1000 FROM audit"
    )
    execute("UPDATE audit_object SET state = 'stopped', compared_count = 970, stored_count = 1000")
    execute("UPDATE audit SET state = 'stopped'")
    shown = call("audit", "show").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Lead stopped 970 0 0 1 0" in lines
    assert "extra 00Q5g00000HotLdEAJ, stored as of 1970-01-01T00:00:01.000Z" in lines
    assert f"penstock audit allow {ORG_ID} --object Lead" in lines
    assert max(map(len, shown.splitlines())) <= 120
    assert "goes on with Lead" in call("audit", "allow", ORG_ID).stdout
    assert "is cancelled" in call("audit", "cancel", ORG_ID).stdout
    execute("UPDATE org SET secret = 'in use', connected_at = now()")
    assert BEGIN_NOW in call("audit", ORG_ID).stdout
    (newest,) = json.loads(call("audit", "show", ORG_ID, "--json").stdout)
    assert (newest["state"], len(newest["objects"])) == ("running", 7)
    states = [one["state"] for one in json.loads(call("audit", "show", "--all", "--json").stdout)]
    assert states == ["running", "cancelled"]

    assert "is audited every 7 days, next at" in call("audit", "schedule", ORG_ID, "7d").stdout
    shown = call("audit", "show").stdout
    assert "is audited every 7 days, next at" in shown
    assert f"unless audit {newest['id']} is still running then" in shown
    assert "Nothing of it was heard" not in shown
    execute("UPDATE audit SET started_at = now() - interval '3 hours'")
    shown = call("audit", "show").stdout
    assert f"Nothing of it was heard for 3 h: `penstock org show {ORG_ID}`" in shown
    assert "    Penstock.heartbeat();" in shown
    assert f"running: `penstock audit show {ORG_ID}`" in call("org", "show", ORG_ID).stdout
    off = json.loads(call("audit", "schedule", ORG_ID, "off", "--json").stdout)
    assert off == {"org_id": ORG_ID, "every_days": None, "next_at": None}
    call("audit", "nonsense", exit_code=2)
