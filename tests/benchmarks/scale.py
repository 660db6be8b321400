"""What stays as it is while something grows: a backlog, the history, the rules, the workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.sample.records import DEFAULT_ORG_ID, SampleOrg
from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.benchmarks import callouts, rule_count
from tests.benchmarks.callouts import Shape
from tests.benchmarks.systems import connect, open_penstock
from tests.benchmarks.throughput import CONNECTIONS, send, until_committed
from tests.benchmarks.usage import used
from tests.servers import migrated
from workers.received import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.callouts import Packed
    from tests.benchmarks.site import Corner, Site

_DAY_MS: Final = 86_400_000
_RETENTION_DAYS: Final = 90
# A long history has keys as wide as real ones, and short states, so that it fits on a disk.
_HISTORY: Final = """
    INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                        transaction_id, actor_id, callout_id, received_at, old, new)
    SELECT $1::bigint + n * $2::bigint / $3::bigint, md5(n::text),
           '00Q8Z' || lpad((n % ($3 / 4 + 1))::text, 10, '0') || 'AAA', $4, 'Lead', 'update', 0,
           left(md5(n::text), 15), NULL, 'msg_' || n, $1 + n * $2 / $3, $5, $5
    FROM generate_series(0::bigint, $3 - 1) AS n"""
_RECORDS: Final = """
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    SELECT DISTINCT ON (record_id) org_id, record_id, object, captured_at, sequence, capture_id,
           false, new::jsonb
    FROM change ORDER BY record_id, captured_at DESC"""
_STATE: Final = '{"Id": "00Q8Z0000000000AAA", "Status": "Open", "Email": "a@example.com"}'


class Backlog(NamedTuple):
    """A backlog that stood while no worker ran; rates are changes per second."""

    change_count: int
    accept_rate: float
    drain_rate: float
    peak_bytes: Mapping[str, int]


NONE: Final = Backlog(0, 0.0, 0.0, {})


async def backlog(site: Site, packed: Sequence[Packed], change_count: int) -> Backlog:
    """Let changes wait in the broker, then start one worker."""
    async with site.corner() as corner, open_penstock(corner) as processes:
        ingest = await processes.start_ingest()
        secret = await connect(processes, Shape.BULK)
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, change_count, secret)
        port = int(processes.ingest_url.rpartition(":")[2])
        sent = await send(path, port, CONNECTIONS[Shape.BULK])
        worker = await processes.start_worker()
        started = time.time()
        end = await until_committed(corner, prepared.change_count)
        pids = {"ingest": ingest.pid, "worker": worker.pid, **site.server_pids()}
        return Backlog(
            prepared.change_count,
            prepared.change_count / sent.took_s,
            prepared.change_count / (end - started),
            used(pids).peak_bytes,
        )


async def drained(
    site: Site, packed: Sequence[Packed], change_count: int, *, history: int, worker_count: int
) -> float:
    """Return how many changes a second workers drain beside a history of so many rows."""
    async with site.corner() as corner, open_penstock(corner) as processes:
        await processes.start_ingest()
        secret = await connect(processes, Shape.BULK)
        await _fill(corner, history)
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, change_count, secret)
        port = int(processes.ingest_url.rpartition(":")[2])
        await send(path, port, CONNECTIONS[Shape.BULK])
        for _ in range(worker_count):
            await processes.start_worker()
        started = time.time()
        end = await until_committed(corner, prepared.change_count)
        return prepared.change_count / (end - started)


async def with_rules(site: Site, rule_counts: Sequence[int], change_count: int) -> list[float]:
    """Return how many changes a second a worker's transactions take with so many rules each."""
    org = SampleOrg(seed=4)
    async with site.corner() as corner:
        await migrated(corner.database_url)
        async with open_pool(Database(url=Secret(corner.database_url)), "benchmark") as pool:
            async with pool.acquire() as connection:
                await connection.execute(
                    "INSERT INTO org (org_id, sync_user_id) VALUES ($1, '')", org.org_id
                )
            batch_count = change_count // rule_count.BATCH
            return [
                await rule_count.rate(pool, org, count, batch_count, turn)
                for turn, count in enumerate(rule_counts)
            ]


async def _fill(corner: Corner, row_count: int) -> None:
    span_ms = (_RETENTION_DAYS - 2) * _DAY_MS
    since_ms = now_ms() - span_ms - _DAY_MS
    await corner.fetch(_HISTORY, since_ms, span_ms, row_count, DEFAULT_ORG_ID, _STATE)
    await corner.fetch(_RECORDS)
    await corner.fetch("VACUUM ANALYZE")
    await corner.fetch("CHECKPOINT")
