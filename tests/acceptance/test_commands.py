"""The command line as a person, or another program, uses it: answers, messages, exit codes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ops.times import iso
from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.changes import OTHER_ORG_ID, QUALIFIED_RULE, inserted, lead, received, updated
from tests.processes import PenstockProcesses
from tests.salesforce import LEAD_ID, ORG_ID, RULE, SYNC_USER_ID, now_ms
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.starting import Forks

ADD = ("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
async def commands(
    database_url: str, tmp_path: Path, forks: Forks
) -> AsyncIterator[PenstockProcesses]:
    environment = {"PENSTOCK_DATABASE__URL": database_url, "COLUMNS": "200"}
    async with PenstockProcesses(environment, tmp_path, start=forks) as processes:
        yield processes


async def process(commands: PenstockProcesses, *callouts: object) -> None:
    """Do with callouts what a worker does."""
    settings = Database(url=Secret(commands.environment["PENSTOCK_DATABASE__URL"]))
    async with open_pool(settings, "test") as pool:
        await Processor(pool, retention_days=90).process(received(*callouts))


async def test_orgs_are_added_listed_rotated_and_paused(commands: PenstockProcesses) -> None:
    assert (await commands.run("org", "list")).stdout.startswith(b"no org is registered yet")
    added = (await commands.run(*ADD, "--json")).json()
    assert added.keys() == {"org_id", "connect_code"}
    assert added["org_id"] == ORG_ID
    assert added["connect_code"].startswith("whsec_")

    again = await commands.run("org", "add", ORG_ID[:15], "--sync-user", SYNC_USER_ID)
    assert again.returncode == 1
    assert "is registered already" in again.stderr
    told = (await commands.run("org", "rotate", ORG_ID)).stdout.decode()
    assert told.startswith(f"org {ORG_ID} has a new connect code, shown only now, good for 24 h;")
    rotated = (await commands.run("org", "rotate", ORG_ID, "--json")).json()
    assert rotated["connect_code"] != added["connect_code"]
    assert (await commands.run("org", "pause", ORG_ID)).returncode == 0

    (org,) = (await commands.run("org", "list", "--json")).json()
    assert (org["org_id"], org["state"], org["connected"]) == (ORG_ID, "paused", False)
    assert re.fullmatch(ISO, org["connect_code_expires_at"])
    assert b"paused, not connected" in (await commands.run("org", "list")).stdout
    assert (await commands.run("org", "resume", ORG_ID)).returncode == 0
    listed = await commands.run("org", "list")
    assert b" not connected" in listed.stdout
    assert b"paused" not in listed.stdout
    shown = await commands.run("org", "show", ORG_ID)
    assert org["connect_code_expires_at"].encode() in shown.stdout
    assert b"whsec_" not in listed.stdout + shown.stdout


async def test_a_version_says_whether_it_can_work_with_a_database(
    commands: PenstockProcesses,
) -> None:
    check = ("migrate", "--check")
    await commands.fetch("UPDATE schema_migration SET number = 9999 WHERE number = 19")
    lacking = await commands.run(*check)
    assert (lacking.returncode, lacking.stdout) == (1, b"")
    assert "lacks 1 of Penstock's migrations: run `penstock migrate`" in lacking.stderr
    await commands.fetch("INSERT INTO schema_migration (number) VALUES (19)")
    ready = await commands.run(*check)
    assert ready.stdout.startswith(b"the database is ready for this version; a later one has")
    # Nor is such a version let near a database that is without what it needs.
    await commands.fetch("UPDATE schema_migration SET unused_since = 9998 WHERE number = 9999")
    for command in (check, ("migrate",)):
        refused = await commands.run(*command)
        assert refused.returncode == 1
        assert "at least 9998 is asked for; upgrade it" in refused.stderr


async def test_migrating_writes_conditions_anew_unless_a_later_version_wrote_them(
    commands: PenstockProcesses,
) -> None:
    await commands.run(*ADD)
    await commands.run("rules", "apply", "-", stdin=QUALIFIED_RULE)
    written = await commands.fetch("SELECT conditions FROM org")
    # As this version's first call leaves them that broke off behind its migrations.
    await commands.fetch("UPDATE org SET conditions = '{}'")
    assert (await commands.run("migrate")).stdout == b"the database is up to date\n"
    assert await commands.fetch("SELECT conditions FROM org") == written

    await commands.fetch("INSERT INTO schema_migration (number) VALUES (9999)")
    await commands.fetch("""UPDATE org SET conditions = '{"Lead": ["Later__c"]}'""")
    migrated = await commands.run("migrate")
    assert "roles keep what it granted" in migrated.stderr
    assert "orgs keep the conditions" in migrated.stderr
    ((kept,),) = await commands.fetch("SELECT conditions FROM org")
    assert json.loads(kept) == {"Lead": ["Later__c"]}


async def test_rules_are_applied_all_or_none_and_every_version_stays(
    commands: PenstockProcesses, tmp_path: Path
) -> None:
    await commands.run(*ADD)
    rules = tmp_path / "rules.yaml"
    rules.write_text(QUALIFIED_RULE)
    applied = (await commands.run("rules", "apply", str(rules), "-", "--json", stdin=RULE)).json()
    assert [rule["outcome"] for rule in applied["rules"]] == ["added", "added"]
    again = (await commands.run("rules", "apply", str(rules), "--json")).json()
    assert [rule["outcome"] for rule in again["rules"]] == ["unchanged", "kept"]

    mistaken = QUALIFIED_RULE.replace("equals", "equal") + "---\n" + RULE.replace("nurture", "x")
    refused = await commands.run("rules", "apply", "-", stdin=mistaken)
    assert refused.returncode == 1
    assert re.match(r"\S*stdin\S*:4: ", refused.stderr)
    assert "equals" in refused.stderr
    rules.write_bytes(QUALIFIED_RULE.encode() + b"# \xff")
    unreadable = await commands.run("rules", "apply", str(rules))
    assert unreadable.returncode == 1
    assert f"{rules} is not UTF-8" in unreadable.stderr

    changed = QUALIFIED_RULE.replace("Qualified}", "Open}")
    assert (await commands.run("rules", "apply", "-", stdin=changed)).returncode == 0
    listed = (await commands.run("rules", "list", "--json")).json()
    assert all(re.fullmatch(ISO, rule["applied_at"]) for rule in listed)
    wanted = ("rule", "object", "version", "state")
    assert [tuple(rule[key] for key in wanted) for rule in listed] == [
        ("hot-leads-to-nurture", "Lead", 1, "active"),
        ("qualified-to-nurture", "Lead", 2, "active"),
    ]
    first = ("rules", "show", "qualified-to-nurture", "--version", "1", "--json")
    shown = (await commands.run(*first)).json()
    assert (shown["state"], shown["source"]) == ("superseded", QUALIFIED_RULE)
    assert b"equals: Open" in (await commands.run("rules", "show", "qualified-to-nurture")).stdout


async def test_a_record_an_enrolment_and_its_explanation_are_shown(
    commands: PenstockProcesses,
) -> None:
    await commands.run(*ADD)
    await commands.run("rules", "apply", "-", stdin=QUALIFIED_RULE)
    at = now_ms()
    old = msgspec.Raw(b'{"Id":"%s","Worth":1.10}' % LEAD_ID.encode())
    new = b'{"Id":"%s","Worth":12.50,"Status":"Qualified","Email":"ana@example.com",'
    new += b'"Name":"[bold] \\ud83d"}'
    changed = msgspec.Raw(new % LEAD_ID.encode())
    first = inserted(old, captured_at=at, capture_id="one")
    await process(commands, first, updated(old, changed, captured_at=at + 1, capture_id="two"))

    show = ("record", "show", ORG_ID, "lead", LEAD_ID[:15])
    result = await commands.run(*show, "--json")
    record = json.loads(result.stdout)
    assert record.keys() == {"org_id", "object", "record_id", "deleted", "fields", "changes"}
    assert record["changes"][0] == {
        "capture_id": "one",
        "operation": "insert",
        "captured_at": at,
        "old": None,
        "new": {"Id": LEAD_ID, "Worth": 1.1},
    }
    assert result.stdout.count(b"12.50") == 2
    told = await commands.run(*show)
    assert told.returncode == 0, told.stderr
    assert b"Name: [bold] \\ud83d" in told.stdout
    lines = told.stdout.decode().splitlines()
    assert lines[-5:] == [
        f"{iso(at + 1)} update (capture two)",
        "  Worth: 1.10 → 12.50",
        "  Status: (empty) → Qualified",
        "  Email: (empty) → ana@example.com",
        "  Name: (empty) → [bold] \\ud83d",
    ]
    cut = await commands.run(*show, "--limit", "1", "--json")
    assert [change["capture_id"] for change in json.loads(cut.stdout)["changes"]] == ["two"]
    assert cut.stderr == "more rows exist: --limit\n"
    missing = await commands.run("record", "show", ORG_ID, "task", LEAD_ID)
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert f"no change of Task {LEAD_ID}" in missing.stderr

    (enrollment,) = (await commands.run("enrollments", "list", "--json")).json()
    expected: dict[str, Any] = {
        "id": 1,
        "org_id": ORG_ID,
        "sequence": "nurture",
        "recipient": "ana@example.com",
        "state": "pending",
        "rule": "qualified-to-nurture",
        "object": "Lead",
        "record_id": LEAD_ID,
    }
    assert enrollment | expected == enrollment
    assert re.fullmatch(ISO, enrollment["enrolled_at"])
    told = await commands.run("enrollments", "list")
    for shown in (ORG_ID, "ana@example.com", enrollment["enrolled_at"]):
        assert shown.encode() in told.stdout
    other = await commands.run("enrollments", "list", "--sequence", "[red]")
    assert other.stdout == b"nobody is in sequence '[red]'\n"

    # Half of a surrogate pair stands in the record, which strict readers refuse.
    explained = json.loads((await commands.run("explain", "1", "--json")).stdout)
    assert (explained["rule"], explained["rule_version"]) == ("qualified-to-nurture", 1)
    (condition,) = explained["conditions"]
    assert condition["reads"] == "Status 'Qualified' equals 'Qualified'"
    assert condition["evidence"]["old"] is None
    stages = [stage["stage"] for stage in explained["stages"]]
    assert stages[:2] == ["captured in Salesforce", "received by ingest"]
    assert condition["negated"] is False
    told = await commands.run("explain", "1")
    assert told.stdout.startswith(b"ana@example.com will enter sequence 'nurture' (the target")
    assert b"Status 'Qualified' equals 'Qualified'" in told.stdout
    assert b"not delivered yet, 0 attempts" in told.stdout
    assert iso(at + 1).encode() in told.stdout


async def test_dead_letters_are_listed_and_shown(commands: PenstockProcesses) -> None:
    await commands.run(*ADD)
    assert (await commands.run("dead", "list", "--json")).json() == []
    await process(commands, inserted(lead(Name="[red]"), captured_at=1))

    (dead,) = (await commands.run("dead", "list", "--json")).json()
    expected = {"id": 1, "org_id": ORG_ID, "object": "Lead", "reason": "out_of_window"}
    assert dead | expected == dead
    assert dead["error"].startswith("captured_at 1 is before the window")
    none = await commands.run("dead", "list", "--reason", "invalid_record", "--json")
    assert none.json() == []
    none = await commands.run("dead", "list", "--reason", "invalid_record", "--org", ORG_ID)
    assert none.stdout.decode() == f"no dead letters: open, org {ORG_ID}, reason invalid_record\n"
    assert re.fullmatch(ISO, dead["dead_at"])
    told = await commands.run("dead", "list")
    assert ORG_ID.encode() in told.stdout
    assert dead["dead_at"].encode() in told.stdout
    shown = (await commands.run("dead", "show", "1", "--json")).json()
    assert shown["original"]["changes"] == [{"old": None, "new": lead(Name="[red]")}]
    assert shown["captured_at"] == 1
    told = await commands.run("dead", "show", "1")
    assert b'"Name":"[red]"' in told.stdout
    assert b"captured_at: 1970-01-01T00:00:00.001Z\n" in told.stdout


async def test_with_several_orgs_rules_need_to_know_which(commands: PenstockProcesses) -> None:
    for org_id in (ORG_ID, OTHER_ORG_ID):
        await commands.run("org", "add", org_id, "--sync-user", SYNC_USER_ID)
    unclear = await commands.run("rules", "apply", "-", stdin=RULE)
    assert unclear.returncode == 2
    assert "2 orgs are registered: say which with --org" in unclear.stderr
    applied = await commands.run("rules", "apply", "-", "--org", OTHER_ORG_ID[:15], stdin=RULE)
    assert applied.returncode == 0
    none = await commands.run("rules", "list", "--org", ORG_ID)
    assert none.stdout.startswith(f"no rule is applied to org {ORG_ID} yet".encode())
    (rule,) = (await commands.run("rules", "list", "--json")).json()
    assert rule["org_id"] == OTHER_ORG_ID
