"""A rule's life through the command line, and how soon running processes follow it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.changes import QUALIFIED_RULE, inserted, record_ids
from tests.processes import PenstockProcesses
from tests.salesforce import ORG_ID, SYNC_USER_ID, Salesforce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.starting import Forks

NAME: Final = "qualified-to-nurture"
DESCRIBE: Final = {
    "name": "Lead",
    "fields": [
        {"name": "Email", "type": "email"},
        {"name": "Rating", "type": "string"},
        {
            "name": "Status",
            "type": "picklist",
            "restrictedPicklist": True,
            "picklistValues": [{"value": "Open", "active": True}],
        },
    ],
}
# What a rule's change may take until it decides; in practice it is the next transaction.
PICKED_UP_S: Final = 2.0


@pytest.fixture
async def commands(
    database_url: str, tmp_path: Path, forks: Forks
) -> AsyncIterator[PenstockProcesses]:
    environment = {"PENSTOCK_DATABASE__URL": database_url, "COLUMNS": "200"}
    async with PenstockProcesses(environment, tmp_path, start=forks) as processes:
        yield processes


async def test_a_rule_that_changes_decides_the_next_change_without_a_restart(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest()
    await penstock.start_worker()
    org = await Salesforce.connect(penstock, rules=QUALIFIED_RULE)
    ids = record_ids()
    sent = 0

    async def enrolled_by() -> list[int]:
        """Send a new qualified lead; return the versions that enrolled it."""
        nonlocal sent
        sent += 1
        lead = {"Id": next(ids), "Status": "Qualified", "Email": f"lead{sent}@example.com"}
        await org.accepted(inserted(lead))
        await penstock.until_counted(sent, "SELECT count(*) FROM change")
        fired = "SELECT rule_version FROM firing WHERE record_id = $1"
        return [row["rule_version"] for row in await penstock.fetch(fired, lead["Id"])]

    async def after(*command: str, stdin: str = "") -> tuple[list[int], float]:
        done = await penstock.run("rules", *command, stdin=stdin)
        assert done.returncode == 0, done.stderr
        started = time.monotonic()
        return await enrolled_by(), time.monotonic() - started

    assert await enrolled_by() == [1]
    disabled, first_s = await after("disable", NAME)
    enabled, second_s = await after("enable", NAME)
    changed, third_s = await after("apply", "-", stdin=QUALIFIED_RULE + "# again\n")
    rolled_back, fourth_s = await after("rollback", NAME)
    assert (disabled, enabled, changed, rolled_back) == ([], [1], [2], [1])
    assert max(first_s, second_s, third_s, fourth_s) < PICKED_UP_S

    # What the plan says of the last day: one lead is not enrolled yet, that of the disabled rule.
    planned = await penstock.run("rules", "apply", "-", "--dry-run", "--json", stdin=
                                 QUALIFIED_RULE + "# again\n")  # fmt: skip
    (rule,) = planned.json()["rules"]
    assert (rule["outcome"], rule["version"]) == ("changed", 3)
    assert (rule["last_day"]["enrolments"], rule["last_day"]["is_whole"]) == (1, True)
    assert planned.json()["dry_run"] is True


async def test_a_plan_is_told_before_it_is_done(commands: PenstockProcesses) -> None:
    await commands.run("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)
    await commands.run("rules", "apply", "-", stdin=QUALIFIED_RULE)
    other = QUALIFIED_RULE.replace(NAME, "other") + "---\nsequence: nurture\ndaily_cap: 5\n"

    planned = await commands.run("rules", "apply", "-", "--dry-run", "--prune", stdin=other)
    assert planned.stderr == "nothing was done (--dry-run)\n"
    words = [line.split() for line in planned.stdout.decode().splitlines()]
    assert words[1:] == [
        ["other", "Lead", "1", "added", "active", "0", "enrolments"],
        [NAME, "Lead", "1", "removed", "removed"],
        ["sequence", "outcome"],
        ["nurture", "added"],
    ]
    (listed,) = (await commands.run("rules", "list", "--json")).json()
    assert listed["rule"] == NAME

    kept = (await commands.run("rules", "apply", "-", "--json", stdin=other)).json()
    assert [rule["outcome"] for rule in kept["rules"]] == ["added", "kept"]
    assert kept["sequences"] == [{"sequence": "nurture", "outcome": "added"}]
    await commands.run("rules", "apply", "-", "--prune", stdin=other)
    assert [row["rule"] for row in (await commands.run("rules", "list", "--json")).json()] == [
        "other"
    ]
    everything = (await commands.run("rules", "list", "--all", "--json")).json()
    assert [(row["rule"], row["state"]) for row in everything] == [
        ("other", "active"),
        (NAME, "removed"),
    ]


async def test_rules_are_disabled_enabled_and_rolled_back_by_name(
    commands: PenstockProcesses,
) -> None:
    await commands.run("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)
    for status in ("Qualified", "Open"):
        rule = QUALIFIED_RULE.replace("Qualified}", f"{status}}}")
        await commands.run("rules", "apply", "-", stdin=rule)

    wrong = await commands.run("rules", "disable", "qualified-nurture")
    assert wrong.returncode == 1
    assert f"no rule 'qualified-nurture'; did you mean '{NAME}'?" in wrong.stderr
    disabled = await commands.run("rules", "disable", NAME)
    assert disabled.stdout.decode() == f"rule '{NAME}' is disabled at version 2\n"
    changed = await commands.run("rules", "apply", "-", stdin=QUALIFIED_RULE)
    told = f"rule '{NAME}' stays disabled: `penstock rules enable {NAME}`\n"
    assert changed.stderr == told
    enabled = (await commands.run("rules", "enable", NAME, "--json")).json()
    assert enabled["rules"] == [{"rule": NAME, "version": 3, "state": "active", "was": "disabled"}]
    back = await commands.run("rules", "rollback", NAME, "--to", "1")
    assert back.stdout.decode() == f"rule '{NAME}' is active at version 1\n"
    versions = (await commands.run("rules", "versions", NAME, "--json")).json()
    assert [row["state"] for row in versions] == ["active", "superseded", "superseded"]
    shown = (await commands.run("rules", "show", NAME)).stdout.decode()
    assert shown.startswith("# version 1, active, applied ")


async def test_the_schema_is_one_for_rules_and_sequences(commands: PenstockProcesses) -> None:
    schema: dict[str, Any] = (await commands.run("rules", "schema")).json()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"Rule", "Sequence", "Condition"} <= schema["$defs"].keys()


async def test_an_org_says_what_its_fields_are_and_what_it_sends(
    commands: PenstockProcesses, tmp_path: Path
) -> None:
    added = await commands.run(
        "org", "add", ORG_ID, "--sync-user", SYNC_USER_ID, "--time-zone", "Europe/Berlin"
    )
    assert added.returncode == 0
    path = tmp_path / "lead.json"
    path.write_bytes(msgspec.json.encode(DESCRIBE))
    described = await commands.run("org", "describe", str(path), "--json")
    assert described.json() == [{"object": "Lead", "field_count": 3}]

    refused = await commands.run("rules", "apply", "-", stdin=QUALIFIED_RULE)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr == (
        "<stdin>:4: 'Qualified' is no active value of the picklist 'Status' of Lead\n"
    )
    rule = QUALIFIED_RULE.replace("Qualified}", "Open}").replace("t: Email", "t: Rating")
    warned = await commands.run("rules", "apply", "-", "--json", stdin=rule)
    (warning,) = warned.json()["warnings"]
    assert (warning["severity"], warning["source"], warning["line"]) == ("warning", "<stdin>", 5)
    assert warned.stderr.startswith("<stdin>:5: warning: the recipient 'Rating' is of type string")

    watched = await commands.run("org", "watch", ORG_ID, "Lead.Rating", "Task.Subject")
    assert b"besides what its rules read: Lead.Rating, Task.Subject" in watched.stdout
    unknown = await commands.run("org", "watch", ORG_ID, "Lead.Ratin")
    assert unknown.returncode == 2
    assert "Lead has no field 'Ratin'; did you mean 'Rating'?" in unknown.stderr
    await commands.run("org", "unwatch", ORG_ID, "Task.Subject")
    assert (await commands.run("org", "time-zone", ORG_ID, "America/Lima")).returncode == 0
    (org,) = (await commands.run("org", "list", "--json")).json()
    assert (org["time_zone"], org["described"]) == ("America/Lima", ["Lead"])
    assert org["watched"] == {"Lead": ["Rating"]}
    assert b"America/Lima" in (await commands.run("org", "show")).stdout
