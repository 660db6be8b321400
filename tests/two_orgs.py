"""Two orgs with the same ids of everything, told apart by what their records say."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.changes import inserted, record_ids
from tests.salesforce import callout, now_ms, sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.processes import PenstockProcesses
    from tests.salesforce import Salesforce
    from tests.webhook import Webhooks

A: Final = "00D5g000004XyzAEAS"
B: Final = "00D5g000004OthrEAA"
# In every value of B, and in no output for A.
CANARY: Final = "Canary-of-B"
LEAD, LOSER, HELD, OPTED_OUT, DEAD, FORGOTTEN = islice(record_ids("00Q"), 6)
(MISSING,) = islice(record_ids("00U"), 1)
(CONTACT,) = islice(record_ids("003"), 1)
(ACCOUNT,) = islice(record_ids("001"), 1)
RULES: Final = """\
rule: welcome
object: Lead
on: [insert, update, undelete, snapshot]
when: [{{field: Status, equals: Qualified}}]  # {name}
then:
  - {{add_to_sequence: nurture, recipient: Email, variables: {{name: LastName}}, re_enroll: always}}
---
rule: slow
object: Lead
on: [insert]
when: [{{field: Status, equals: Qualified}}]  # {name}
ceiling: 1
then: [{{add_to_sequence: alerts, recipient: Email, variables: {{name: LastName}}}}]
---
rule: industry
object: Contact
on: [insert]
when: [{{field: Account.Industry, equals: Energy}}]  # {name}
then: [{{add_to_sequence: energy, recipient: Email}}]
---
sequence: nurture  # {name}
daily_cap: 100
"""
# Tables of no org, with why.
OF_NO_ORG: Final = {
    "action": "what operators did; their commands name the org in it",
    "bulk_run": "what operators began; it is of all orgs, or names one",
    "console_token": "operators' own",
    "forgetting": "addresses for a run, which names the org, while it goes",
    "process": "Penstock's processes",
    "relay_stop": "targets, which all orgs share",
    "rule_epoch": "counts what changed in any org's rules",
    "schema_migration": "the schema's own",
    "tally": "counts what each process did",
    "tombstone_key": "the database's own",
}
# Tables whose rows are of an audit, and so of its org.
OF_AUDITS: Final = frozenset({"audit_finding", "audit_object", "audit_range"})
# No row of B is in them: a crash, a redelivery, a parent's change, or a lost callout makes one.
WITHOUT_ROWS: Final = frozenset({"delivery_try", "redelivery", "reevaluation", "gap"})
# What operators do for both, `{a}` being the org.
_DESCRIBED: Final = '{"name": "Event", "fields": [{"name": "Id", "type": "id"}]}'
_SET_UP: Final = (
    ("suppress add blocked@example.com --org {a} --reason {name}", ""),
    ("suppress add example.org --org {a} --reason {name}:ana@example.com", ""),
    ("org describe {described} --org {a}", ""),
    ("org watch {a} Task.Description", ""),
    ("org load {a} --object User", ""),
    ("audit start {a} --object Event", ""),
    ("audit schedule {a} 30d", ""),
    ("forget {a} --record {forgotten} --apply", ""),
)
_REQUESTS: Final = "SELECT request_id, kind FROM request WHERE org_id = $1"
_ASKED_AGAIN: Final = "SELECT count(*) FROM audit_finding WHERE request_id IS NOT NULL"
_NAMES: Final = """
    SELECT (SELECT min(enrollment_id) FROM enrollment WHERE org_id = $1) AS enrollment,
           (SELECT min(enrollment_id) FROM enrollment WHERE org_id = $2) AS their_enrollment,
           (SELECT enrollment_id FROM enrollment WHERE org_id = $2 AND state = 'held')
               AS their_held,
           (SELECT dead_letter_id FROM dead_letter WHERE org_id = $2) AS their_dead"""
_OPEN: Final = """
    SELECT (SELECT count(*) FROM outbox WHERE state = 'open')
         + (SELECT count(*) FROM record_end WHERE swept_at IS NULL)"""
_TABLES: Final = """
    SELECT relname, EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid
                              AND attname = 'org_id' AND NOT attisdropped) AS has_org
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace
      AND relkind IN ('r', 'p') AND NOT relispartition"""


def said(name: str, **fields: Any) -> dict[str, Any]:
    """Return a lead that everybody wants, of the org that calls itself `name`."""
    return {
        "Id": LEAD,
        "Status": "Qualified",
        "LastName": name,
        "Email": "ana@example.com",
        **fields,
    }


def history(org_id: str, name: str, at: int) -> Iterable[dict[str, Any]]:
    """Return what either org sends first: the same captures of the same records, by name alone."""

    def keys(number: int) -> dict[str, Any]:
        return {
            "org_id": org_id,
            "capture_id": f"capture-{number}",
            "transaction_id": f"transaction-{number}",
            "captured_at": at + number,
        }

    yield inserted(
        said(name), said(name, Id=LOSER, Email="lou@example.com", Status="Open"), **keys(1)
    )
    yield inserted(said(name, Id=HELD, Email="held@example.com"), **keys(2))
    refusing = said(name, Id=OPTED_OUT, Email="out@example.com", HasOptedOutOfEmail=True)
    yield inserted(refusing | {"Status": "Open"}, **keys(3))
    yield callout([{"old": refusing | {"Status": "Open"}, "new": refusing}], **keys(4))
    waits = {"Id": CONTACT, "AccountId": ACCOUNT, "LastName": name, "Email": "cy@example.com"}
    yield inserted(waits, object="Contact", **keys(5))
    yield callout([{"old": refusing, "new": None}], operation="delete", **keys(6))
    too_old = keys(7) | {"captured_at": at - 400 * 24 * 3600 * 1000}
    yield inserted(said(name, Id=DEAD, Email="dee@example.com"), **too_old)


async def rows_of(penstock: PenstockProcesses, org_id: str) -> dict[str, list[str]]:
    """Return all rows of an org as text, by table.

    Raises:
        AssertionError: a table is of no org, and nobody said why.
    """
    tables = await penstock.fetch(_TABLES)
    without = {row["relname"] for row in tables if not row["has_org"]}
    assert without == OF_NO_ORG.keys() | OF_AUDITS
    parts = [
        f"SELECT '{row['relname']}' AS name, one::text AS row FROM {row['relname']} AS one"  # noqa: S608
        f" WHERE {_OF_AUDIT if row['relname'] in OF_AUDITS else 'org_id = $1'}"
        for row in tables
        if row["has_org"] or row["relname"] in OF_AUDITS
    ]
    found: dict[str, list[str]] = {}
    for row in await penstock.fetch(f"{' UNION ALL '.join(parts)} ORDER BY 1, 2", org_id):
        found.setdefault(row["name"], []).append(row["row"])
    return found


_OF_AUDIT: Final = "audit_id IN (SELECT audit_id FROM audit WHERE org_id = $1)"


async def run_each(
    penstock: PenstockProcesses, commands: Iterable[tuple[str, str]], names: Mapping[str, object]
) -> list[tuple[int, str]]:
    """Run lines of a shell as the database's owner; return exit codes and outputs."""
    asked = [(line.format(**names).split(), given) for line, given in commands]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.many_commands",
        env={**penstock.environment, "COLUMNS": "250"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate(msgspec.json.encode(asked))
    except asyncio.CancelledError:
        process.kill()
        raise
    assert process.returncode == 0
    results: list[tuple[int, str]] = msgspec.json.decode(told, type=list[tuple[int, str]])
    return results


def beat(org_id: str, acknowledged: list[int]) -> dict[str, Any]:
    """Return a heartbeat."""
    counts = ("parked", "overflow", "async_used", "async_limit", "conditions_version")
    return {
        "version": 1,
        "org_id": org_id,
        "package_version": "0.1.0",
        "api_version": "65.0",
        "clock": now_ms(),
        "acknowledged": acknowledged,
        **dict.fromkeys(counts, 1),
    }


def audit(org_id: str, number: int) -> dict[str, Any]:
    """Return an answer to a request for an audit: one event, which nobody told of, and no other."""
    return {
        "version": 1,
        "org_id": org_id,
        "audit_id": number,
        "read_at": now_ms(),
        "object": "Event",
        "records": [[MISSING, now_ms() - 3_600_000]],
    }


class TwoOrgs:
    """A and B, connected and busy; what is of B, and what targets were told, is remembered."""

    def __init__(
        self, penstock: PenstockProcesses, hooks: Webhooks, a: Salesforce, b: Salesforce
    ) -> None:
        self.penstock = penstock
        self.a = a
        self.b = b
        self.their_requests: list[int] = []
        self._hooks = hooks
        self._names: dict[str, object] = {}
        self._of_b: dict[str, list[str]] = {}
        self._told_of_b: list[Any] = []

    async def set_up(self, folder: Path) -> None:
        """Have both tell their history, and do what operators do for both."""
        described = folder / "event.json"
        described.write_text(_DESCRIBED)
        self._names["described"] = described
        at = now_ms() - 60_000
        for org, name in ((self.a, "A"), (self.b, CANARY)):
            for document in history(org.org_id, name, at):
                await org.accepted(document)
            names = {"a": org.org_id, "name": name, "forgotten": FORGOTTEN}
            told = await run_each(self.penstock, _SET_UP, self._names | names)
            assert all(code == 0 for code, _ in told), told
        await self.penstock.until_counted(14, "SELECT count(*) FROM change")
        for number, kind in await self.penstock.fetch(_REQUESTS, B):
            if kind == "audit":
                await self.tell("audit", audit(B, number), 202, self.b)
        # Only B's: A's audit is under way.
        await self.penstock.until_counted(1, _ASKED_AGAIN)
        # The last that B says: ingest writes later when it heard of an org, unless it has said so.
        for org in (self.a, self.b):
            await self.tell("heartbeat", beat(org.org_id, []), 200, org)
        await self.settle()
        self.their_requests = [row[0] for row in await self.penstock.fetch(_REQUESTS, B)]
        (row,) = await self.penstock.fetch(_NAMES, A, B)
        self._names |= {**row, "a": A, "lead": LEAD, "dead_record": DEAD, "canary": CANARY}
        self._of_b = await rows_of(self.penstock, B)
        self._told_of_b = self._told()
        tables = {row["relname"] for row in await self.penstock.fetch(_TABLES)}
        empty = tables - OF_NO_ORG.keys() - self._of_b.keys()
        assert empty == WITHOUT_ROWS, empty

    async def tell(
        self, route: str, document: object, status: int = 202, org: Salesforce | None = None
    ) -> None:
        """Send something signed, of A unless another is named; its answer tells nothing of B."""
        org = org or self.a
        body = msgspec.json.encode(document)
        async with await org.post(route, body, sign(org.secret, body)) as response:
            answer = await response.text()
        assert response.status == status, answer
        assert org is self.b or not tells_of_b(answer), answer

    async def settle(self) -> None:
        """Return once everything that was sent is done."""
        await self.penstock.until_counted(0, _OPEN)

    async def untouched(self) -> None:
        """Fail where anything of B is not as it was."""
        found = await rows_of(self.penstock, B)
        names = self._of_b.keys() | found.keys()
        differing = {
            name: sorted({*self._of_b.get(name, [])} ^ {*found.get(name, [])})
            for name in names
            if self._of_b.get(name) != found.get(name)
        }
        assert not differing, differing
        told = self._told()
        assert told == self._told_of_b, told

    async def do(self, table: tuple[tuple[str, str, int], ...]) -> None:
        """Run commands on A; none of them may tell of B."""
        told = await run_each(
            self.penstock, [(line, given) for line, given, _ in table], self._names
        )
        wrong = [
            f"{line} ({code}): {output}"
            for (line, _, expected), (code, output) in zip(table, told, strict=True)
            if code != expected or tells_of_b(output)
        ]
        assert not wrong, "\n\n".join(wrong)

    def _told(self) -> list[Any]:
        return [event for _, _, event in self._hooks.requests if tells_of_b(str(event))]


def tells_of_b(text: str) -> bool:
    return CANARY in text or B in text
