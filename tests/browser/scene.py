"""What the console is looked at with: every process, an org with a story, one bad change."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final, Self

import asyncpg
from aiohttp.test_utils import TestServer

from ops import console_tokens
from ops.console_tokens import Role
from ops.local.rehearsal import Rehearsal
from pipeline.objects import long_id
from tests.processes import PenstockProcesses, Running
from tests.salesforce import Salesforce, callout, now_ms
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.starting import Start

DAY_MS: Final = 86_400_000
# Of a change that is too old for the first worker's retention.
LATE_ID: Final = long_id("00Q8Z000000Late")
LATE_EMAIL: Final = "grace@example.com"
LATE_RULE: Final = """\
rule: late-but-welcome
object: Lead
on: [insert]
max_age: 30d
when:
  - {field: LeadSource, equals: Import}
then:
  - add_to_sequence: nurture
    recipient: Email
"""
NAMES: Final = {Role.OPERATE: "ada", Role.VIEW: "ben"}
_SEED: Final = 7
_SHORT: Final = {"PENSTOCK_DATABASE__RETENTION_DAYS": "1"}


class Scene:
    """A running Penstock with tokens for both roles."""

    def __init__(self, penstock: PenstockProcesses, org: Salesforce, worker: Running) -> None:
        self.penstock = penstock
        self.org = org
        self.tokens: dict[Role, str] = {}
        self._worker = worker

    @classmethod
    async def open(cls, penstock: PenstockProcesses, target: Webhooks) -> Self:
        """Start everything and play the sample org's story."""
        await penstock.start_ingest()
        worker = await penstock.start_worker(**_SHORT)
        await penstock.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=target.url, PENSTOCK_RELAY__WEBHOOK_SECRET=target.secret
        )
        await penstock.start_console()
        connection = await asyncpg.connect(penstock.environment["PENSTOCK_DATABASE__URL"])
        try:
            told = Rehearsal(penstock.ingest_url, connection, penstock.session, _SEED)
            await told.connect()
            await told.apply_rules()
            await told.play()
            scene = cls(penstock, Salesforce(penstock, told.secret, told.org.org_id), worker)
            for role in Role:
                added = await console_tokens.add(connection, NAMES[role], role)
                scene.tokens[role] = added.token
        finally:
            await connection.close()
        applied = await penstock.run("rules", "apply", "-", stdin=LATE_RULE)
        assert applied.returncode == 0, applied.stderr
        return scene

    async def send(self, record: Mapping[str, Any], *, age_ms: int = 0) -> None:
        """Send a new lead, captured so long ago."""
        await self.org.accepted(
            callout(
                [{"new": record}],
                operation="insert",
                org_id=self.org.org_id,
                captured_at=now_ms() - age_ms,
            )
        )

    async def send_bad(self, record_id: str = LATE_ID, email: str = LATE_EMAIL) -> None:
        """Send a lead whose change is older than the retention; return once it is a dead letter."""
        lead = {"Id": record_id, "LeadSource": "Import", "Email": email, "Status": "Open"}
        await self.send(lead, age_ms=3 * DAY_MS)
        query = "SELECT count(*) FROM dead_letter WHERE record_id = $1"
        await self.penstock.until_counted(1, query, record_id)

    async def mend(self) -> None:
        """Let changes of the last 90 days in, which a worker's settings say."""
        await self._worker.terminate()
        self._worker = await self.penstock.start_worker()

    async def fill_hour(self) -> None:
        """Tell of an hour like those that processes tell of, for pictures."""
        connection = await asyncpg.connect(self.penstock.environment["PENSTOCK_DATABASE__URL"])
        try:
            await connection.execute(_HOUR, "sample", json.dumps(_shares()))
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def scene(environment: Mapping[str, str], folder: Path, start: Start) -> AsyncIterator[Scene]:
    """Open a scene on a broker and a database that are empty."""
    target = Webhooks("whsec_" + "c2VjcmV0" * 4)
    async with (
        TestServer(target.app) as server,
        PenstockProcesses(environment, folder, start=start) as penstock,
    ):
        target.url = str(server.make_url("/hook"))
        yield await Scene.open(penstock, target)


def _shares() -> dict[str, float]:
    return {"": 2.0, "Lead": 1.0, "Contact": 0.7, "Account": 0.25, "Opportunity": 0.35, "Task": 0.5}


# A process that is over: what it counted is part of the hour all the same.
_HOUR: Final = """
    WITH gone AS (
        INSERT INTO process (process_id, kind, host, pid, objects, ended_at)
        VALUES ($1, 'worker', 'sample', 1, '{}', now()) ON CONFLICT DO NOTHING)
    INSERT INTO tally
    SELECT $1, object, date_trunc('minute', now()) - make_interval(mins => ago),
           CASE WHEN object = '' THEN n ELSE 0 END, 0, 0, n,
           n / 3 + 1, n, CASE WHEN ago % 17 = 5 THEN 1 ELSE 0 END, n / 9, n,
           ARRAY[0, n / 20, n / 5, n / 2, n / 5, n / 20, n / 60,
                 CASE WHEN ago % 13 = 3 THEN 2 ELSE 0 END, 0, 0, 0, 0, 0, 0, 0, 0],
           n / 9, 0, 0, array_fill(0, ARRAY[16])
    FROM (SELECT object, ago,
                 (share * (340 + 160 * sin(ago / 6.0) + 70 * sin(ago / 1.7)))::bigint AS n
          FROM generate_series(1, 60) AS ago,
               (SELECT key AS object, value::float8 AS share FROM jsonb_each($2::jsonb)) AS shares)
        AS minutes
    ON CONFLICT DO NOTHING"""


def unique_email() -> str:
    """Return an address that nobody else has."""
    return f"lead-{time.time_ns()}@example.com"
