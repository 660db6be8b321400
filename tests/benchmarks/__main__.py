"""Penstock measured from outside, beside its limits and its alternatives: `make bench`.

Turns go round, so that a machine that slows down does so for all; medians count. What is written:
`README.md`, its pictures, and `results.json` with every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from ops.sample.records import SampleOrg
from tests.benchmarks import callouts, latency, limits, plots, report, rule_count, scale, throughput
from tests.benchmarks.callouts import Shape
from tests.benchmarks.results import Limits, Results, describe
from tests.benchmarks.site import open_site
from tests.benchmarks.systems import System

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.benchmarks.callouts import Packed
    from tests.benchmarks.site import Site

Result = TypeVar("Result")
_SEED: Final = 7
_LOADS_PERCENT: Final = (10, 30, 70)
_ENOUGH_CORES: Final = 4
_SHORT_HISTORY: Final = 10_000


class Size(NamedTuple):
    """How much is measured."""

    turns: int
    change_count: int
    latency_s: float
    backlog: int
    history: int


FULL: Final = Size(3, 30_000, 20, 1_000_000, 10_000_000)
QUICK: Final = Size(1, 8_000, 4, 20_000, 100_000)


async def run(site: Site, size: Size) -> Results:
    """Measure everything."""
    org = SampleOrg(_SEED)
    packed = {shape: callouts.pack(org, shape, size.change_count) for shape in Shape}
    machine = await describe(site)
    found = Results(
        machine=machine,
        limits=Limits([], [], [], []),
        throughput={shape: {} for shape in Shape},
        ingest_alone=[],
        latency={},
        backlog=scale.NONE,
        short_history=[],
        long_history=[],
        few_rules=[],
        many_rules=[],
        two_workers=[] if machine.core_count >= _ENOUGH_CORES else None,
    )
    for _ in range(size.turns):
        await _turn(site, size, packed, found)
    edits = found.rate(Shape.EDITS, System.PENSTOCK)
    for percent in _LOADS_PERCENT:
        rate = edits * percent / 100
        found.latency[percent] = await _said(
            f"latency at {percent} % load",
            latency.measure(site, packed[Shape.EDITS], rate, size.latency_s),
        )
    found.backlog = await _said(
        f"backlog of {size.backlog:,}", scale.backlog(site, packed[Shape.BULK], size.backlog)
    )
    return found


async def _turn(site: Site, size: Size, packed: dict[Shape, list[Packed]], found: Results) -> None:
    count, edits, bulk = size.change_count, packed[Shape.EDITS], packed[Shape.BULK]
    for shape in Shape:
        # What the alternatives make of an org's day follows from the other two.
        for system in System if shape is not Shape.MIXED else (System.PENSTOCK,):
            measured = throughput.measure(site, system, shape, packed[shape], count)
            runs = found.throughput[shape].setdefault(system, [])
            runs.append(await _said(f"{shape}, {system}", measured))
    alone = throughput.ingest_alone(site, edits, count)
    found.ingest_alone.append(await _said("ingest alone", alone))
    found.limits.edge.append(await _said("bare aiohttp", limits.edge(site, edits, count)))
    found.limits.broker.append(await _said("RabbitMQ", limits.broker(site, edits, count)))
    found.limits.database.append(await _said("PostgreSQL", limits.database(site, bulk, count)))
    found.limits.database_by_two.append(
        await _said("PostgreSQL, two clients", limits.database(site, bulk, count, client_count=2))
    )
    for rates, rows in ((found.short_history, _SHORT_HISTORY), (found.long_history, size.history)):
        drained = scale.drained(site, bulk, count, history=rows, worker_count=1)
        rates.append(await _said(f"history of {rows:,}", drained))
    rules = scale.with_rules(site, [rule_count.FEW, rule_count.MANY], count)
    few, many = await _said("10 and 1,000 rules", rules)
    found.few_rules.append(few)
    found.many_rules.append(many)
    if found.two_workers is not None:
        both = scale.drained(site, bulk, count, history=_SHORT_HISTORY, worker_count=2)
        found.two_workers.append(await _said("two workers", both))


async def _said(name: str, measured: Awaitable[Result]) -> Result:
    """Say how far it is, and what was found."""
    started = time.monotonic()
    result = await measured
    print(f"{time.monotonic() - started:6.1f} s  {name}: {_short(result)}", file=sys.stderr)
    return result


def _short(result: object) -> str:
    rates = result if isinstance(result, list) else [getattr(result, "rate", result)]
    return " ".join(f"{rate:,.0f}/s" for rate in rates if isinstance(rate, float))


async def measure(size: Size) -> Results:
    """Measure everything on servers of its own."""
    async with open_site() as site:
        return await run(site, size)


def write(results: Results, folder: Path) -> None:
    """Write the report, and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    (folder / "README.md").write_text(report.page(results))
    plots.draw(results, folder)
    print(report.page(results))
    print(f"written to {folder}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer changes, once")
    parser.add_argument("--turns", type=int, help="how often each is measured")
    parser.add_argument("--out", type=Path, default=Path("dist/benchmark"), help="folder to write")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else FULL
    if arguments.turns:
        chosen = chosen._replace(turns=arguments.turns)
    write(asyncio.run(measure(chosen)), arguments.out)
