"""The report's pictures."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt

from tests.benchmarks.systems import System

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.results import Results

mpl.use("Agg")
_SIZE_INCHES: Final = (8.0, 3.6)
_ROLES: Final = ("ingest", "worker", "PostgreSQL", "RabbitMQ")


def draw(results: Results, folder: Path) -> None:
    """Write `throughput.png`, `cpu.png` and `latency.png`."""
    _throughput(results, folder / "throughput.png")
    _cpu(results, folder / "cpu.png")
    _latency(results, folder / "latency.png")


def _throughput(results: Results, path: Path) -> None:
    figure, axes = plt.subplots(figsize=_SIZE_INCHES)
    systems = list(System)
    shapes = [shape for shape, runs in results.throughput.items() if len(runs) == len(systems)]
    width = 0.8 / len(systems)
    for place, system in enumerate(systems):
        rates = [results.rate(shape, system) for shape in shapes]
        at = [number + (place - 1) * width for number in range(len(shapes))]
        bars = axes.bar(at, rates, width, label=system.value)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=8)
    limit = median(results.limits.database)
    axes.axhline(limit, linestyle="--", color="grey")
    axes.annotate(
        "the database alone", (0.99, limit), xycoords=("axes fraction", "data"), ha="right"
    )
    axes.set_xticks(range(len(shapes)), [shape.value for shape in shapes])
    axes.set_ylabel("changes per second")
    axes.legend(loc="upper left")
    _save(figure, path)


def _cpu(results: Results, path: Path) -> None:
    figure, axes = plt.subplots(figsize=_SIZE_INCHES)
    rows = [
        (f"{system} {shape}", runs[0])
        for shape, by_system in results.throughput.items()
        for system, runs in by_system.items()
    ][::-1]
    left = [0.0] * len(rows)
    for role in _ROLES:
        spent = [run.cpu_us[role] for _, run in rows]
        axes.barh([name for name, _ in rows], spent, left=left, label=role)
        left = [before + more for before, more in zip(left, spent, strict=True)]
    axes.set_xlabel("CPU µs per change")
    axes.legend()
    _save(figure, path)


def _latency(results: Results, path: Path) -> None:
    figure, axes = plt.subplots(figsize=_SIZE_INCHES)
    loads = sorted(results.latency)
    for name in ("to_answer", "to_commit", "to_target"):
        measured = [getattr(results.latency[load], name) for load in loads]
        axes.plot(loads, [one.p50 for one in measured], marker="o", label=f"{name[3:]} p50")
        color = axes.lines[-1].get_color()
        p99 = [one.p99 for one in measured]
        axes.plot(loads, p99, marker="^", color=color, linestyle="--", label=f"{name[3:]} p99")
    axes.set_yscale("log")
    axes.set_xticks(loads, [f"{load} %" for load in loads])
    axes.set_xlabel("load, of the most that single edits reach")
    axes.set_ylabel("ms since the first byte")
    axes.legend(ncols=3, fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401  matplotlib may not be installed
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
