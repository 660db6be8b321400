"""How long a change takes from its callout's first byte, while the system is loaded in part."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from aiohttp import web

from ops.sample.records import DEFAULT_ORG_ID
from pipeline.signing import new_secret
from tests.benchmarks import callouts
from tests.benchmarks.callouts import Shape
from tests.benchmarks.systems import open_penstock
from tests.benchmarks.throughput import CONNECTIONS, send, until_committed
from tests.salesforce import Salesforce
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from tests.benchmarks.callouts import Packed
    from tests.benchmarks.site import Corner, Site

# About one edit in nine makes a lead Qualified: each time it is added once more, and never held.
RULE: Final = """\
rule: qualified-to-nurture
object: Lead
on: [update]
when: [{field: Status, changed_to: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email, re_enroll: always}]
ceiling: 1000000
"""
_TARGET_REQUESTS_PER_S: Final = 1000
# What was just started prepares its statements first, which no later callout waits for.
WARM_UP_S: Final = 2.0
_COMMITTED: Final = """
    SELECT capture_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at
    FROM change"""
# A firing is written with the outbox row that it causes, and stays as it was written.
_FIRED: Final = """
    SELECT capture_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at
    FROM firing"""


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


class Latency(NamedTuple):
    """From the first byte of a callout to its answer, its commit, its outbox row, its target."""

    rate: float
    to_answer: Percentiles
    to_commit: Percentiles
    to_outbox: Percentiles
    to_target: Percentiles


async def measure(site: Site, packed: Sequence[Packed], rate: float, seconds: float) -> Latency:
    """Send single edits at a rate (1/s) for some seconds to an ingest, a worker and a relay.

    Those of the first two seconds are left out.
    """
    async with (
        site.corner() as corner,
        open_target() as (target_url, arrived),
        open_penstock(corner) as processes,
    ):
        await processes.start_ingest()
        org = await Salesforce.connect(processes, DEFAULT_ORG_ID, RULE)
        await processes.start_worker()
        await processes.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=target_url,
            PENSTOCK_RELAY__WEBHOOK_SECRET=new_secret(),
            PENSTOCK_RELAY__REQUESTS_PER_S=str(_TARGET_REQUESTS_PER_S),
        )
        port = int(processes.ingest_url.rpartition(":")[2])
        path = corner.folder / "requests"
        prepared = callouts.prepare(path, packed, int(rate * seconds), org.secret)
        sent = await send(path, port, CONNECTIONS[Shape.EDITS], rate)
        await until_committed(corner, prepared.change_count)
        committed, fired = await _times(corner, _COMMITTED), await _times(corner, _FIRED)
        await until(lambda: len(arrived) >= len(fired))
        answered = dict(enumerate(sent.answered))
        others = (committed, fired, arrived)
        times = [
            answered,
            *({callouts.place_of(one): at for one, at in it.items()} for it in others),
        ]
        return Latency(rate, *(_percentiles(_since(sent.sent, one)) for one in times))


def _since(sent: Sequence[float], times: Mapping[int, float]) -> list[float]:
    """Return how long callouts took, by their place, from when the processes are warm on."""
    warm = min(sent) + WARM_UP_S
    return [at - sent[place] for place, at in times.items() if sent[place] > warm]


def _percentiles(seconds: Iterable[float]) -> Percentiles:
    ordered = sorted(seconds)
    return Percentiles(
        *(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99))
    )


async def _times(corner: Corner, query: str) -> dict[str, float]:
    async with corner.connection() as connection:
        return {row["capture_id"]: row["at"] for row in await connection.fetch(query)}


@asynccontextmanager
async def open_target() -> AsyncIterator[tuple[str, dict[str, float]]]:
    """Yield the URL of a webhook, and when each capture's delivery came (Unix seconds)."""
    arrived: dict[str, float] = {}

    async def post(request: web.Request) -> web.Response:
        at = time.time()
        told = msgspec.json.decode(await request.read())
        arrived.setdefault(told["data"]["capture_id"], at)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", arrived
    finally:
        await runner.cleanup()
