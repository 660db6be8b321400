"""What a change costs each part, for `ops.capacity`: `python -m tests.benchmarks.costs`.

An org's day (`mixed`) goes to one ingest and one worker, as fast as they are; what its rules enrol
goes through one relay afterwards. CPU is what the processes used, not how long it took, so that it
can be had on a machine that is busy with other things, too.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Final

from ops.sample.records import SampleOrg
from pipeline.signing import new_secret
from tests.benchmarks import callouts
from tests.benchmarks.callouts import Shape
from tests.benchmarks.latency import open_target
from tests.benchmarks.site import open_site
from tests.benchmarks.systems import connect, open_penstock
from tests.benchmarks.throughput import CONNECTIONS, send, until_committed
from tests.benchmarks.usage import used

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.benchmarks.site import Corner, Site
    from tests.processes import PenstockProcesses

_SEED: Final = 7
_MB: Final = 1_000_000
_DELIVERED_S: Final = 600.0
_WAL: Final = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_SIZES: Final = """
    SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('change')
            WHERE isleaf)::float8 / (SELECT count(*) FROM change) AS history_bytes,
           pg_total_relation_size('record')::float8 / (SELECT count(*) FROM record)
               AS record_bytes"""
# Of sequences: what rules call themselves is nowhere.
_OPEN: Final = "SELECT count(*) FROM outbox WHERE state = 'open' AND target = 'webhook'"
_DELIVERED: Final = "SELECT count(*) FROM outbox WHERE state = 'delivered' AND target = 'webhook'"


async def measure(site: Site, change_count: int) -> Mapping[str, float]:
    """Return what `ops.capacity.Costs` has, as far as it hangs on changes."""
    packed = callouts.pack(SampleOrg(_SEED), Shape.MIXED, change_count)
    async with site.corner() as corner, open_penstock(corner) as penstock:
        ingest = await penstock.start_ingest()
        secret = await connect(penstock, Shape.MIXED)
        worker = await penstock.start_worker()
        pids = {"ingest": ingest.pid, "worker": worker.pid, **site.server_pids()}
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, change_count, secret)
        stream = _stream_bytes(site)
        wal, before = await corner.fetch(_WAL), used(pids)
        await send(path, int(penstock.ingest_url.rpartition(":")[2]), CONNECTIONS[Shape.MIXED])
        await until_committed(corner, prepared.change_count)
        after, count = used(pids), prepared.change_count
        cpu_us = {role: (after.cpu_s[role] - before.cpu_s[role]) * 1e6 / count for role in pids}
        async with corner.connection() as connection:
            sizes = await connection.fetchrow(_SIZES)
        assert sizes is not None
        return {
            "ingest_us": cpu_us["ingest"],
            "worker_us": cpu_us["worker"],
            "postgres_us": cpu_us["PostgreSQL"],
            "rabbitmq_us": cpu_us["RabbitMQ"],
            **sizes,
            "wal_bytes": float(await corner.fetch(_WAL) - wal) / count,
            "log_bytes": (_stream_bytes(site) - stream) / count,
            "ingest_mb": after.peak_bytes["ingest"] / _MB,
            "worker_mb": after.peak_bytes["worker"] / _MB,
            "enrollments_per_change": float(await corner.fetch(_OPEN)) / count,
            **await _relay(penstock, corner),
        }


async def _relay(penstock: PenstockProcesses, corner: Corner) -> Mapping[str, float]:
    """Return what telling a webhook of one row takes a relay."""
    async with open_target() as (target_url, _):
        relay = await penstock.launch(
            "relay",
            "RELAY",
            {
                "PENSTOCK_RELAY__WEBHOOK_URL": target_url,
                "PENSTOCK_RELAY__WEBHOOK_SECRET": new_secret(),
                "PENSTOCK_RELAY__REQUESTS_PER_S": "1000",
            },
        )
        await relay.ready(penstock.session)
        begun_count = await corner.fetch(_DELIVERED)
        before = used({"relay": relay.pid})
        async with asyncio.timeout(_DELIVERED_S):
            while await corner.fetch(_OPEN):  # noqa: ASYNC110  a relay sets no event of ours
                await asyncio.sleep(0.1)
        after = used({"relay": relay.pid})
        count = await corner.fetch(_DELIVERED) - begun_count
        relay_us = (after.cpu_s["relay"] - before.cpu_s["relay"]) * 1e6 / count
        return {"relay_us": relay_us, "relay_mb": after.peak_bytes["relay"] / _MB}


def _stream_bytes(site: Site) -> int:
    """Return what the broker's logs take on its disk."""
    return sum(path.stat().st_size for path in _stream_files(site.folder / "rabbitmq" / "data"))


def _stream_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*/stream/**/*") if path.is_file())


async def main(change_count: int) -> None:
    """Print what was found."""
    async with open_site() as site:
        for name, amount in (await measure(site, change_count)).items():
            print(f"{name:25}{amount:12,.3f}" if amount < 1 else f"{name:25}{amount:12,.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.costs", description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    asyncio.run(main(parser.parse_args().changes))
