"""The database is lost, an older dump restored, the gap replayed: all is as if nothing happened."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiohttp.test_utils import TestServer

from ops.stack import programs
from pipeline.objects import long_id
from tests.salesforce import Salesforce, callout, now_ms
from tests.servers import database_at, execute, new_name
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.processes import PenstockProcesses

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
RULES: Final = """\
rule: add
object: Lead
on: [insert, update]
when: [{field: Status, changed_to: Qualified}]
then:
  - add_to_sequence: nurture
    recipient: Email
    variables: {name: FirstName}
    re_enroll: after_exit
---
rule: leave
object: Lead
on: [update]
when: [{field: Status, changed_to: Lost}]
then: [{remove_from_sequence: nurture, recipient: Email}]
---
rule: call
object: Lead
on: [update]
when: [{field: Rating, changed_to: Hot}]
then: [{webhook: "URL", fields: {rating: Rating}}]
"""
# All that counts, without numbers and times of a database's own.
STATE: Final = (
    "SELECT to_jsonb(record) FROM record ORDER BY record_id",
    "SELECT to_jsonb(change) - 'persisted_at' FROM change ORDER BY capture_id, record_id",
    """SELECT to_jsonb(firing) - 'firing_id' - 'fired_at' - 'run_id' FROM firing
       ORDER BY transaction_id, record_id, rule""",
    """SELECT enrollment.sequence, recipient, state, generation, exited_generation, reason, rule,
              capture_id, variables
       FROM enrollment JOIN firing USING (org_id, firing_id) ORDER BY recipient""",
    """SELECT event.kind, event.recipient, event.captured_at, event.capture_id, event.rule
       FROM enrollment_event AS event ORDER BY 4, 5""",
    "SELECT idempotency_key, kind, target, recipient, generation FROM outbox ORDER BY 1",
    "SELECT FROM dead_letter",
    "SELECT org_id, mark, until FROM tombstone ORDER BY mark",
    "SELECT org_id, value, reason FROM suppression ORDER BY value",
)
UNTOLD: Final = "SELECT count(*) FROM outbox WHERE state = 'open'"
CHANGES: Final = "SELECT count(*) FROM change"
# Erased after the dump: one whom it has, and shall never come again, and one who came meanwhile.
FORGOTTEN: Final = (("30", "--block"), ("70",))


class Leads:
    """Leads that come to be, are enrolled, leave and come again; each edit a callout."""

    def __init__(self, org: Salesforce) -> None:
        self._org = org
        self._leads: dict[int, dict[str, Any]] = {}
        self.count = 0

    async def set(self, number: int, **values: str) -> None:
        old = self._leads.get(number)
        new = {
            "Id": long_id(f"00Q5g0000{number:06d}"),
            "FirstName": f"Lead {number}",
            "Email": f"lead{number}@example.com",
            **(old or {}),
            **values,
        }
        changes = [{"new": new}] if old is None else [{"old": old, "new": new}]
        await self._send(changes, operation="insert" if old is None else "update")
        self._leads[number] = new

    async def delete(self, number: int) -> None:
        await self._send([{"old": self._leads.pop(number)}], operation="delete")

    async def _send(self, changes: list[dict[str, Any]], **keys: Any) -> None:
        await self._org.accepted(callout(changes, **keys))
        self.count += 1

    async def qualify(self, numbers: range) -> None:
        for number in numbers:
            await self.set(number, Status="Qualified")

    async def go_on(self) -> None:
        """End, by rule or deletion, what was told before; some of it in the dump, some not."""
        for number in (*range(0, 20, 2), *range(80, 90)):
            await self.set(number, Status="Lost", Rating="Hot")
        for number in range(90, 95):
            await self.delete(number)
        await self.set(2, Status="Qualified", FirstName="Again")
        await self.insert_of_an_hour_ago(200)

    async def insert_of_an_hour_ago(self, number: int) -> None:
        """Send what Salesforce held back: captured before whatever was dumped, received after."""
        lead = {
            "Id": long_id(f"00Q5g0000{number:06d}"),
            "Status": "Qualified",
            "Email": f"lead{number}@example.com",
        }
        await self._send([{"new": lead}], operation="insert", captured_at=now_ms() - 3_600_000)


async def program(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs."""
    folder = (await programs.postgres()).postgres.parent
    process = await asyncio.create_subprocess_exec(
        folder / name, *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()


async def state(penstock: PenstockProcesses) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in await penstock.fetch(query)] for query in STATE]


@pytest.mark.timeout(300)
async def test_a_restored_dump_and_the_gap_from_the_log_are_the_database_that_was_lost(
    penstock: PenstockProcesses, tmp_path: Path
) -> None:
    lost_url = penstock.environment["PENSTOCK_DATABASE__URL"]
    dump = str(tmp_path / "penstock.dump")
    webhooks = Webhooks(SECRET)
    async with TestServer(webhooks.app) as target:
        relay_settings = {
            "PENSTOCK_RELAY__WEBHOOK_URL": str(target.make_url("/hook")),
            "PENSTOCK_RELAY__WEBHOOK_SECRET": SECRET,
            "PENSTOCK_RELAY__ALLOW_NETWORKS": "127.0.0.0/8",
            # What was claimed when it was dumped is free after so long.
            "PENSTOCK_RELAY__TIMEOUT_S": "2",
            "PENSTOCK_RELAY__LEASE_S": "3",
        }
        ingest = await penstock.start_ingest()
        rules = RULES.replace("URL", str(target.make_url("/call")))
        org = await Salesforce.connect(penstock, rules=rules)
        running = [await penstock.start_worker(), await penstock.start_relay(**relay_settings)]
        leads = Leads(org)

        await leads.qualify(range(40))
        await penstock.until_counted(leads.count, CHANGES)
        since_ms = now_ms()
        await asyncio.gather(
            program("pg_dump", "-Fc", "-f", dump, lost_url), leads.qualify(range(40, 100))
        )
        await penstock.until_counted(0, UNTOLD)
        await leads.go_on()
        await penstock.until_counted(leads.count, CHANGES)
        await penstock.until_counted(0, UNTOLD)
        tombstones = await forget(penstock, org.org_id, tmp_path)
        change_count = leads.count - len(FORGOTTEN)
        told = {headers["webhook-id"]: event for _, headers, event in webhooks.requests}
        expected = await state(penstock)
        await asyncio.gather(*(one.kill() for one in running))
        # Nobody works them off any more: they wait in their queue. One is the end of what was told
        # after the dump, of which the restored database knows nothing.
        await leads.set(300, Status="Qualified")
        await leads.set(95, Status="Lost")
        change_count += 2
        await ingest.kill()
        async with another_database(penstock):
            run = await restore_and_replay(
                penstock, (dump, tombstones), since_ms, change_count, relay_settings
            )
            await penstock.until_counted(0, UNTOLD)
            restored = await state(penstock)

    # What was received before the dump was begun was left alone.
    assert run["done_count"] < leads.count
    # Of who was erased, and came after the dump, the lost database had a firing without values.
    differing = (
        *("lead95@", "lead300@", long_id("00Q5g0000000095"), long_id("00Q5g0000000300")),
        long_id("00Q5g0000000070"),
    )
    assert without(differing, restored) == without(differing, expected)
    forgotten = [f"lead{number}@example.com" for number, *_ in FORGOTTEN]
    assert not any(one in str(restored) for one in forgotten)
    assert len(restored[-2]) == 4
    again = {headers["webhook-id"]: event for _, headers, event in webhooks.requests}
    new = {
        (again[key]["type"], again[key]["data"]["recipient"]) for key in again.keys() - told.keys()
    }
    assert new == {
        ("sequence.recipient.added", "lead300@example.com"),
        ("sequence.recipient.removed", "lead95@example.com"),
    }
    kept = {key for key, one in told.items() if one["data"].get("recipient") not in forgotten}
    assert kept == {row[0] for row in expected[5]}
    assert_no_number_is_of_two(event for _, _, event in webhooks.requests)


def assert_no_number_is_of_two(heard: Iterable[dict[str, Any]]) -> None:
    # Nobody has the number that the lost database gave to somebody else.
    numbers = {
        (event["data"].get("enrollment_id"), event["data"].get("recipient")) for event in heard
    }
    assert len({number for number, _ in numbers} - {None}) == len(numbers - {(None, None)})


def without(names: tuple[str, ...], tables: list[list[tuple[Any, ...]]]) -> list[list[str]]:
    """Return the rows that name none of some leads."""
    return [
        [text for text in map(str, rows) if not any(name in text for name in names)]
        for rows in tables
    ]


@asynccontextmanager
async def another_database(penstock: PenstockProcesses) -> AsyncIterator[None]:
    """Lose the database; a new one, empty, is in its place meanwhile."""
    lost_url = penstock.environment["PENSTOCK_DATABASE__URL"]
    name = new_name("restored")
    server_url = database_at(lost_url, "postgres")
    lost_name = lost_url.rpartition("/")[2].partition("?")[0]
    await execute(server_url, f"DROP DATABASE {lost_name} WITH (FORCE)")
    await execute(server_url, f"CREATE DATABASE {name}")
    try:
        penstock.environment["PENSTOCK_DATABASE__URL"] = database_at(lost_url, name)
        yield
    finally:
        await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
        # For the fixture that drops it.
        await execute(server_url, f"CREATE DATABASE {lost_name}")


async def forget(penstock: PenstockProcesses, org_id: str, folder: Path) -> str:
    """Erase who is to be forgotten, each told of first; return the file of kept tombstones."""
    for number, *options in FORGOTTEN:
        email = f"lead{number}@example.com"
        erased = await penstock.run("forget", org_id, "--email", email, *options, "--apply")
        assert erased.returncode == 0, erased.stderr
    kept = folder / "tombstones.json"
    kept.write_bytes((await penstock.run("forget", "--kept")).stdout)
    return str(kept)


async def restore_and_replay(
    penstock: PenstockProcesses,
    files: tuple[str, str],
    since_ms: int,
    change_count: int,
    relay_settings: dict[str, str],
) -> dict[str, Any]:
    """Do as the runbook says with a dump and kept tombstones; return the replay's run."""
    dump, tombstones = files
    url = penstock.environment["PENSTOCK_DATABASE__URL"]
    await program("pg_restore", "--no-owner", "--exit-on-error", "-d", url, dump)
    assert (await penstock.run("migrate")).stdout == b"the database is up to date\n"
    ready = (await penstock.run("restored", "--json")).json()
    assert ready["received_until"] is not None
    again = await penstock.run("forget", "--again", tombstones, "--apply", "--json")
    assert [one["state"] for one in again.json()] == ["finished"]
    assert (await penstock.fetch(CHANGES))[0][0] < change_count
    await penstock.start_worker()
    await penstock.start_relay(**relay_settings)
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat()
    command = ("replay", "--callouts", "--since", since, "--apply", "--json")
    run: dict[str, Any] = (await penstock.run(*command)).json()["run"]
    assert run["state"] == "finished"
    await penstock.until_counted(change_count, CHANGES)
    assert (await penstock.run("relay", "resume", "--restored")).returncode == 0
    return run
