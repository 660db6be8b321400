"""What one run of the benchmark found, and on what it ran."""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

# msgspec reads the annotations.
from tests.benchmarks.callouts import Shape
from tests.benchmarks.latency import Latency
from tests.benchmarks.scale import Backlog
from tests.benchmarks.systems import System
from tests.benchmarks.throughput import Throughput

if TYPE_CHECKING:
    from tests.benchmarks.site import Site

_LIBRARIES: Final = ("aiohttp", "aio-pika", "asyncpg", "uvloop", "faststream", "taskiq-aio-pika")
_GB: Final = 1024**3


class Machine(msgspec.Struct):
    """Where it ran, and what."""

    processor: str
    core_count: int
    memory_gb: int
    commit: str
    versions: dict[str, str]


class Limits(msgspec.Struct):
    """Rows, callouts and messages per second; one figure a turn."""

    database: list[float]
    database_by_two: list[float]
    edge: list[float]
    broker: list[float]


class Results(msgspec.Struct):
    """Everything; throughput by shape and system, one entry a turn."""

    machine: Machine
    limits: Limits
    throughput: dict[Shape, dict[System, list[Throughput]]]
    ingest_alone: list[float]
    latency: dict[int, Latency]
    backlog: Backlog
    # Changes per second, by turns.
    short_history: list[float]
    long_history: list[float]
    few_rules: list[float]
    many_rules: list[float]
    # None where there are fewer than four cores.
    two_workers: list[float] | None

    def rate(self, shape: Shape, system: System) -> float:
        """Return the median of a system's rates."""
        return statistics.median(run.rate for run in self.throughput[shape][system])

    def best_alternative(self, shape: Shape) -> float:
        """Return the rate of the best of the others."""
        others = (one for one in self.throughput[shape] if one is not System.PENSTOCK)
        return max(self.rate(shape, system) for system in others)


async def describe(site: Site) -> Machine:
    """Describe this machine, and the versions of what runs on it."""
    async with site.corner() as corner:
        postgres = await corner.fetch("SHOW server_version")
    return Machine(
        processor=_processor(),
        core_count=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB),
        commit=await _commit(),
        versions={
            "Python": platform.python_version(),
            "PostgreSQL": postgres.partition(" ")[0],
            "RabbitMQ": (await site.rabbitmq.ctl("version")).strip(),
            **{library: version(library) for library in _LIBRARIES},
        },
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


async def _commit() -> str:
    process = await asyncio.create_subprocess_exec(
        *("git", "describe", "--always", "--dirty"), stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode().strip()
