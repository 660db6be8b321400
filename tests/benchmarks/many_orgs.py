"""What many orgs cost each process: `python -m tests.benchmarks.many_orgs --orgs 100000`.

Writes so many connected orgs, each with rules if `--rules` says so, into a private database, and
starts ingest, a worker and a console on it. Tells how long each takes to be ready, its memory, how
long ingest answers nobody while it reads the orgs again, when an org that is added is known, when a
worker with the rules of all commits its first change, and how long lists and pages take.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from ops.console_tokens import Role
from ops.stack.ports import free_port
from pipeline.objects import long_id
from pipeline.settings import Console
from pipeline.signing import new_secret
from tests.benchmarks.rule_count import rule
from tests.benchmarks.site import open_site
from tests.benchmarks.systems import open_penstock
from tests.console import console, signed_in
from tests.salesforce import Salesforce, callout

if TYPE_CHECKING:
    from tests.benchmarks.site import Corner
    from tests.processes import PenstockProcesses, Running

_READY_S: Final = 900.0
_PROBE_EVERY_S: Final = 0.005
# All orgs are read again every 30 s.
_REFRESH_S: Final = 35.0
_MB: Final = 1_000_000
_FIELDS: Final = ["Status", "Rating", "Industry", "OwnerId", "Title", "Company", "Fax", "Email"]
_CONDITIONS: Final = msgspec.json.encode(dict.fromkeys(("Lead", "Contact", "Account"), _FIELDS))
_PAGES: Final = ("/", "/orgs", "/rules", "/enrollments")


def org_id(number: int) -> str:
    """Return the id of an org that was written."""
    return long_id(f"00D5g0000{number:06d}")


async def write_orgs(corner: Corner, count: int, rule_count: int) -> None:
    """Write orgs as a handshake leaves them, and their rules."""
    stream = random.Random(count)
    orgs = (
        (org_id(number), "0055g00000AbCdEAAV", new_secret(), _CONDITIONS.decode())
        for number in range(count)
    )
    rules = (
        (org_id(number), f"rule-{place}", 1, "Lead", "active", rule(place, stream))
        for number in range(count)
        for place in range(rule_count)
    )
    async with corner.connection() as connection:
        columns = ["org_id", "sync_user_id", "secret", "conditions"]
        await connection.copy_records_to_table("org", records=orgs, columns=columns)
        await connection.execute("UPDATE org SET connected_at = now()", timeout=None)
        columns = ["org_id", "rule", "version", "object", "state", "source"]
        await connection.copy_records_to_table("rule", records=rules, columns=columns, timeout=None)
        await connection.execute("VACUUM ANALYZE org", timeout=None)
        await connection.execute("VACUUM ANALYZE rule", timeout=None)


class Measured:
    """Tells what was measured, a line each."""

    def __init__(self, penstock: PenstockProcesses, corner: Corner) -> None:
        self._penstock = penstock
        self._corner = corner

    async def ingest(self) -> None:
        """Measure the edge: its start, its memory, its stalls, how soon it knows."""
        began = time.monotonic()
        running = await self._started("ingest")
        say("ingest is ready after", f"{time.monotonic() - began:.1f} s")
        say("ingest's memory", memory(running))
        say("its longest answer in 35 s, all orgs read again", f"{await self._stall_s():.3f} s")
        say("its CPU in 35 s of rest", f"{await self._cpu_s(running):.2f} s")
        say("its memory then", memory(running))
        began = time.monotonic()
        added = asyncio.create_task(Salesforce.connect(self._penstock, rules=""))
        stall = asyncio.create_task(self._stall_s(10))
        self.org = await added
        say("an org is added and connected after", f"{time.monotonic() - began:.1f} s")
        say("ingest's longest answer meanwhile", f"{await stall:.3f} s")

    async def worker(self) -> None:
        """Measure a worker's first change with the rules of all, and one after a rule changed."""
        began = time.monotonic()
        running = await self._started("worker")
        say("a worker is ready after", f"{time.monotonic() - began:.1f} s")
        say("its memory", memory(running))
        for what in ("its first change is committed after", "its second after"):
            say(what, f"{await self._committed_s():.2f} s")
        say("its memory then", memory(running))
        async with self._corner.connection() as connection:
            await connection.execute("UPDATE rule_epoch SET epoch = epoch + 1")
        say("the next after a rule changed", f"{await self._committed_s():.2f} s")

    async def people(self) -> None:
        """Measure what people ask for."""
        for command in (("org", "list"), ("org", "show", org_id(7)), ("doctor",), ("flow",)):
            began = time.monotonic()
            await self._penstock.run(*command)
            say(f"penstock {' '.join(command)}", f"{time.monotonic() - began:.2f} s")
        async with (
            console(self._corner.database_url, Console()) as client,
            self._corner.connection() as connection,
        ):
            await signed_in(client, connection, Role.OPERATE)
            for page in (*_PAGES, f"/orgs/{org_id(7)}"):
                began = time.monotonic()
                async with client.get(page) as response:
                    await response.read()
                say(f"console {page} ({response.status})", f"{time.monotonic() - began:.3f} s")

    async def _started(self, kind: str) -> Running:
        penstock, settings = self._penstock, {}
        if kind == "ingest":
            port = str(free_port())
            penstock.ingest_url = f"http://127.0.0.1:{port}"
            settings = {"PENSTOCK_INGEST__PORT": port}
        running = await penstock.launch(kind, kind.upper(), settings)
        await running.ready(penstock.session, _READY_S)
        return running

    async def _stall_s(self, for_s: float = _REFRESH_S) -> float:
        longest = 0.0
        until = time.monotonic() + for_s
        async with aiohttp.ClientSession() as session:
            while (began := time.monotonic()) < until:
                async with session.get(self._penstock.ingest_url) as response:
                    await response.read()
                longest = max(longest, time.monotonic() - began)
                await asyncio.sleep(_PROBE_EVERY_S)
        return longest

    async def _cpu_s(self, running: Running) -> float:
        before = cpu_s(running)
        await asyncio.sleep(_REFRESH_S)
        return cpu_s(running) - before

    async def _committed_s(self) -> float:
        document = callout(
            [{"new": {"Id": "00Q5g00000HotLdEAJ", "Status": "Open"}}], operation="insert"
        )
        began = time.monotonic()
        await self.org.accepted(document)
        kept = "SELECT count(*) FROM change WHERE capture_id = $1"
        async with self._corner.connection() as connection, asyncio.timeout(_READY_S):
            while not await connection.fetchval(kept, document["capture_id"]):  # noqa: ASYNC110  a worker sets no event of ours
                await asyncio.sleep(_PROBE_EVERY_S)
        return time.monotonic() - began


def memory(running: Running) -> str:
    """Return what a process holds, and the most that it held."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{running.pid}/status").read_text().splitlines()
    )
    now, most = (int(lines[name].split()[0]) * 1024 / _MB for name in ("VmRSS", "VmHWM"))
    return f"{now:.0f} MB, at most {most:.0f} MB"


def cpu_s(running: Running) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def say(what: str, found: str) -> None:
    """Print a line."""
    print(f"{what:55}{found}", flush=True)


async def measure(count: int, rule_count: int) -> None:
    """Measure everything."""
    async with open_site() as site, site.corner() as corner, open_penstock(corner) as penstock:
        began = time.monotonic()
        await write_orgs(corner, count, rule_count)
        say(
            f"{count:,} orgs, {rule_count} rules each, written in",
            f"{time.monotonic() - began:.0f} s",
        )
        measured = Measured(penstock, corner)
        await measured.ingest()
        await measured.worker()
        await measured.people()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.many_orgs", description=__doc__
    )
    parser.add_argument("--orgs", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=0, help="active rules of each org")
    told = parser.parse_args()
    asyncio.run(measure(told.orgs, told.rules))
