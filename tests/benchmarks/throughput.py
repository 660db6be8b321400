"""How many changes a second, from the first byte sent to the last change committed."""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks import callouts
from tests.benchmarks.callouts import Shape
from tests.benchmarks.systems import connect, open_penstock, open_system
from tests.benchmarks.usage import used
from workers.received import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.callouts import Packed
    from tests.benchmarks.site import Corner, Site
    from tests.benchmarks.systems import System

# Jobs that call out at once: enough that the edge is never idle, as in an org at work.
CONNECTIONS: Final[Mapping[str, int]] = {"edits": 64, "bulk": 8, "mixed": 32}
_BROKER: Final = "RabbitMQ"
_POLL_S: Final = 0.2
_STALLED_S: Final = 120.0
# Whatever is sent was captured within the hour; a history that was there before is older.
_RECENT_MS: Final = 6 * 3_600_000
_COUNT: Final = "SELECT count(*) FROM change WHERE captured_at > $1"
# pg_xact_commit_timestamp is the server's own clock.
_LAST_COMMIT: Final = """
    SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
    FROM change WHERE captured_at > $1"""
_HISTORY_BYTES: Final = """
    SELECT sum(pg_relation_size(relid))::bigint FROM pg_partition_tree('change') WHERE isleaf"""


class Sent(NamedTuple):
    """When each callout was sent, or due, and answered (Unix seconds), in their order."""

    sent: Sequence[float]
    answered: Sequence[float]

    @property
    def took_s(self) -> float:
        """From the first byte to the last answer."""
        return max(self.answered) - min(self.sent)


class Throughput(NamedTuple):
    """One run: rates are changes per second, sizes bytes per change."""

    rate: float
    ingest_rate: float
    cpu_us: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    database_bytes: float
    wal_bytes: float
    broker_bytes: float


async def send(path: Path, port: int, connection_count: int, rate: float | None = None) -> Sent:
    """Send prepared requests from a process of its own."""
    result = path.with_suffix(".result")
    options = [f"--connections={connection_count}", *([f"--rate={rate}"] if rate else [])]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.sender"),
        *(str(path), str(port), str(result), *options),
        env=os.environ,
    )
    if await process.wait():
        raise RuntimeError("the sender failed (above)")
    times = array("d")
    times.frombytes(result.read_bytes())
    half = len(times) // 2
    return Sent(times[:half], times[half:])


async def until_committed(corner: Corner, change_count: int) -> float:
    """Return when the last of so many changes that were sent was committed (Unix seconds).

    They are counted only when the table has stopped growing: to count a million rows again and
    again would cost more than to write them.

    Raises:
        TimeoutError: for two minutes none was.
    """
    since_ms = now_ms() - _RECENT_MS
    before_bytes, committed = -1, 0
    async with corner.connection() as connection, asyncio.timeout(_STALLED_S) as deadline:
        while committed < change_count:
            await asyncio.sleep(_POLL_S)
            size_bytes = await connection.fetchval(_HISTORY_BYTES)
            if size_bytes == before_bytes:
                committed = await connection.fetchval(_COUNT, since_ms)
            else:
                before_bytes = size_bytes
                deadline.reschedule(asyncio.get_running_loop().time() + _STALLED_S)
        return float(await connection.fetchval(_LAST_COMMIT, since_ms))


async def measure(
    site: Site, system: System, shape: Shape, packed: Sequence[Packed], change_count: int
) -> Throughput:
    """Run one system once; it begins with an empty database."""
    async with site.corner() as corner, open_system(system, corner, shape) as running:
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, change_count, running.secret)
        pids = {**running.pids, **site.server_pids()}
        wal = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
        wal_before, before = await corner.fetch(wal), used(pids)
        sent = await send(path, running.port, CONNECTIONS[shape])
        end = await until_committed(corner, prepared.change_count)
        after = used(pids)
        count = prepared.change_count
        return Throughput(
            rate=count / (end - min(sent.sent)),
            ingest_rate=count / sent.took_s,
            cpu_us={role: (after.cpu_s[role] - before.cpu_s[role]) * 1e6 / count for role in pids},
            peak_bytes=after.peak_bytes,
            database_bytes=await corner.fetch(_TABLES) / count,
            wal_bytes=float(await corner.fetch(wal) - wal_before) / count,
            broker_bytes=(after.written_bytes[_BROKER] - before.written_bytes[_BROKER]) / count,
        )


async def ingest_alone(site: Site, packed: Sequence[Packed], change_count: int) -> float:
    """Return how many single edits a second ingest takes while nobody consumes them."""
    async with site.corner() as corner, open_penstock(corner) as processes:
        await processes.start_ingest()
        secret = await connect(processes, Shape.EDITS)
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, change_count, secret)
        port = int(processes.ingest_url.rpartition(":")[2])
        sent = await send(path, port, CONNECTIONS[Shape.EDITS])
        return prepared.change_count / sent.took_s


_TABLES: Final = """
    SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"""
