"""The page that says what a run found."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.callouts import Shape
from tests.benchmarks.systems import System

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.benchmarks.results import Results

_MB: Final = 1_000_000
_ROLES: Final = ("ingest", "worker", "PostgreSQL", "RabbitMQ")


class Figure(NamedTuple):
    """One figure that was aimed at; `is_most`: it may not be more."""

    name: str
    value: float
    aim: float
    is_most: bool = False
    unit: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether it is what was aimed at."""
        return self.value <= self.aim if self.is_most else self.value >= self.aim


def figures(results: Results) -> Iterator[Figure]:
    """Yield what the run found of what was aimed at."""
    limits = results.limits
    edits = results.rate(Shape.EDITS, System.PENSTOCK)
    bulk = results.rate(Shape.BULK, System.PENSTOCK)
    yield Figure("bulk against the database alone, one client", bulk / median(limits.database), 0.6)
    yield Figure(
        "edits against the best alternative", edits / results.best_alternative(Shape.EDITS), 5
    )
    yield Figure(
        "bulk against the best alternative", bulk / results.best_alternative(Shape.BULK), 8
    )
    yield Figure(
        "ingest alone against bare aiohttp, edits",
        median(results.ingest_alone) / median(limits.edge),
        0.35,
    )
    at_30 = results.latency[30]
    yield Figure("callout to commit, p99 at 30 % load", at_30.to_commit.p99, 50, True, "ms")
    yield Figure("callout to target, p99 at 30 % load", at_30.to_target.p99, 100, True, "ms")
    yield Figure(
        f"a backlog of {results.backlog.change_count:,} drains, against bulk end to end",
        results.backlog.drain_rate / bulk,
        1,
    )
    peak = max(results.backlog.peak_bytes[role] for role in ("ingest", "worker")) / _MB
    yield Figure("most memory of a Penstock process then", peak, 200, True, "MB")
    yield Figure(
        "long history against short",
        median(results.long_history) / median(results.short_history),
        0.85,
    )
    yield Figure(
        "1,000 rules against 10", median(results.many_rules) / median(results.few_rules), 0.6
    )
    if results.two_workers is not None:
        ratio = median(results.two_workers) / median(results.short_history)
        yield Figure("two workers against one", ratio, 1.7)


def page(results: Results) -> str:
    """Return the report in Markdown, its pictures beside it."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    where = f"{machine.core_count} cores of {machine.processor}, {machine.memory_gb} GB"
    return "\n".join(
        [
            "# What the benchmark found",
            "",
            f"{where}, commit `{machine.commit}`: {versions}.",
            "",
            "Ratios are the result: absolute figures differ from machine to machine.",
            "",
            *_table(("figure", "aim", "found", ""), _figure_rows(results)),
            "",
            "![Changes per second, by system](throughput.png)",
            "",
            *_table(
                (
                    "",
                    "changes/s",
                    *(f"{role} µs" for role in _ROLES),
                    "stored B",
                    "WAL B",
                    "broker B",
                ),
                _throughput_rows(results),
            ),
            "",
            "Per change: CPU by process; bytes that PostgreSQL stores, logs, and RabbitMQ writes.",
            "",
            "![CPU per change, by process](cpu.png)",
            "",
            *_table(("limit", "per second"), _limit_rows(results)),
            "",
            "![Latency by load](latency.png)",
            "",
            *_table(
                ("load", "rate/s", "answer ms", "commit ms", "outbox ms", "target ms"),
                _latency_rows(results),
            ),
            "",
            "Each p50 / p95 / p99, from the first byte of the callout.",
            "",
            *_table(("memory", "most MB"), _memory_rows(results)),
            "",
            *(
                []
                if results.two_workers
                else ["Two workers against one needs four cores: skipped.", ""]
            ),
        ]
    )


def _figure_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for one in figures(results):
        sign = "≤" if one.is_most else "≥"
        unit = f" {one.unit}" if one.unit else " x"
        digits = 0 if one.unit else 2
        reached = "reached" if one.is_reached else "**missed**"
        yield one.name, f"{sign} {one.aim:g}{unit}", f"{one.value:,.{digits}f}{unit}", reached


def _throughput_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for shape, by_system in results.throughput.items():
        for system, runs in by_system.items():
            yield (
                f"{shape}, {system}",
                f"{results.rate(shape, system):,.0f}",
                *(f"{median(run.cpu_us[role] for run in runs):.0f}" for role in _ROLES),
                f"{median(run.database_bytes for run in runs):,.0f}",
                f"{median(run.wal_bytes for run in runs):,.0f}",
                f"{median(run.broker_bytes for run in runs):,.0f}",
            )


def _limit_rows(results: Results) -> Iterator[tuple[str, ...]]:
    limits = results.limits
    yield "PostgreSQL, one client, 200 rows a transaction", f"{median(limits.database):,.0f}"
    yield "PostgreSQL, two clients", f"{median(limits.database_by_two):,.0f}"
    yield "aiohttp that reads and answers", f"{median(limits.edge):,.0f}"
    yield "Penstock's ingest alone, edits", f"{median(results.ingest_alone):,.0f}"
    yield "RabbitMQ, messages with confirms", f"{median(limits.broker):,.0f}"


def _latency_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for load, one in sorted(results.latency.items()):
        spans = (one.to_answer, one.to_commit, one.to_outbox, one.to_target)
        yield f"{load} %", f"{one.rate:,.0f}", *(" / ".join(f"{ms:.0f}" for ms in s) for s in spans)


def _memory_rows(results: Results) -> Iterator[tuple[str, ...]]:
    count = results.backlog.change_count
    for role, size_bytes in results.backlog.peak_bytes.items():
        yield f"{role}, backlog of {count:,}", f"{size_bytes / _MB:,.0f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows):
        yield f"| {' | '.join(row)} |"
