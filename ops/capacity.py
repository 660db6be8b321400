"""How many of what for how many orgs: `python -m ops.capacity --orgs 1000`.

What is assumed of an org is in `Load` and can be given; what things cost is in `Costs`, measured.
`deploy/capacity.md` says how, and has the table that this prints; a test holds the two together.
"""

# ruff: noqa: RUF001  the formulas are written for people

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES: Final = (10, 1_000, 100_000)
# A process that is busier than this at the peak has nothing left for what nobody foresaw.
BUSY_SHARE: Final = 0.5
# Of each process there are two, so that one may end.
LEAST_COUNT: Final = 2
# Orgs in one deployment; past it come further deployments ("cells").
CELL_ORGS: Final = 2_000
LOG_DAYS: Final = 7
_DAY_S: Final = 86_400
_GB: Final = 1e9
_MB: Final = 1e6
# A process's pool (PENSTOCK_DATABASE__POOL_SIZE).
CONNECTIONS: Final = 4
# Below it, two digits say as much as there is to say.
_WHOLE_FROM: Final = 100
_LEAST_SHOWN: Final = 0.01


class Load(NamedTuple):
    """What is assumed. `peak_factor`: the busiest minute's rate by the day's average."""

    orgs: int
    changes_per_org_day: float = 2_000
    peak_factor: float = 5
    busiest_object_share: float = 0.4
    records_per_org: float = 20_000
    rules_per_org: float = 10
    enrollments_per_change: float = 0.02
    retention_days: float = 90


class Costs(NamedTuple):
    """What one of each costs: CPU in µs, sizes in bytes; memory of a process in MB.

    `python -m tests.benchmarks.costs` and `many_orgs` beside it found these.
    """

    ingest_us: float = 70
    worker_us: float = 120
    postgres_us: float = 115
    rabbitmq_us: float = 35
    relay_us: float = 1_500
    history_bytes: float = 2_900
    record_bytes: float = 8_100
    wal_bytes: float = 5_600
    log_bytes: float = 220
    ingest_mb: float = 80
    ingest_org_bytes: float = 2_000
    worker_mb: float = 110
    worker_org_bytes: float = 5_000
    rule_bytes: float = 12_000


class Need(NamedTuple):
    """What is needed, how that follows, and how much of it."""

    what: str
    formula: str
    amount: float


def needs(load: Load, costs: Costs) -> Iterator[Need]:
    """Yield what a load needs in one deployment."""
    daily = load.orgs * load.changes_per_org_day
    peak = daily / _DAY_S * load.peak_factor
    told = peak * load.enrollments_per_change
    ingest, worker = _processes(peak, costs.ingest_us), _processes(peak, costs.worker_us)
    relay = _processes(told, costs.relay_us)
    rules = load.orgs * load.rules_per_org
    yield Need("changes a day", "orgs × changes of an org", daily)
    yield Need("changes/s, at the peak", "a day's ÷ 86,400 × peak factor", peak)
    yield Need("… in the busiest queue", "× its object's share", peak * load.busiest_object_share)
    yield Need("ingests", _formula("peak", costs.ingest_us), ingest)
    yield Need("workers", _formula("peak", costs.worker_us), worker)
    yield Need("relays", _formula("told/s", costs.relay_us), relay)
    yield Need("told to targets/s, at the peak", "peak × enrolments of a change", told)
    yield Need(
        "cores of PostgreSQL", _cores("peak", costs.postgres_us), peak * _busy(costs.postgres_us)
    )
    yield Need(
        "cores of RabbitMQ, each node",
        _cores("peak", costs.rabbitmq_us),
        peak * _busy(costs.rabbitmq_us),
    )
    yield Need(
        "WAL, MB/s at the peak", f"peak × {costs.wal_bytes:,.0f} B", peak * costs.wal_bytes / _MB
    )
    yield Need(
        "WAL, GB a day", f"a day's × {costs.wal_bytes:,.0f} B", daily * costs.wal_bytes / _GB
    )
    yield Need(
        "history, GB",
        f"a day's × days kept × {costs.history_bytes:,.0f} B",
        daily * load.retention_days * costs.history_bytes / _GB,
    )
    yield Need(
        "records, GB",
        f"orgs × records × {costs.record_bytes:,.0f} B",
        load.orgs * load.records_per_org * costs.record_bytes / _GB,
    )
    yield Need(
        "the broker's log, GB, each node",
        f"a day's × {LOG_DAYS} × {costs.log_bytes:,.0f} B",
        daily * LOG_DAYS * costs.log_bytes / _GB,
    )
    yield Need(
        "memory of an ingest, MB",
        f"{costs.ingest_mb:,.0f} + orgs × {costs.ingest_org_bytes:,.0f} B",
        costs.ingest_mb + load.orgs * costs.ingest_org_bytes / _MB,
    )
    yield Need(
        "memory of a worker, MB",
        f"{costs.worker_mb:,.0f} + orgs × ({costs.worker_org_bytes:,.0f} B + rules ×"
        f" {costs.rule_bytes:,.0f} B)",
        costs.worker_mb + (load.orgs * costs.worker_org_bytes + rules * costs.rule_bytes) / _MB,
    )
    yield Need(
        "connections to PostgreSQL",
        f"{CONNECTIONS} × (ingests + workers + relays) + ingests + relays",
        CONNECTIONS * (ingest + worker + relay) + ingest + relay,
    )
    yield Need("heartbeats/s", "orgs ÷ 3,600", load.orgs / 3_600)
    yield Need(
        "deployments that are better", f"orgs ÷ {CELL_ORGS:,}", math.ceil(load.orgs / CELL_ORGS)
    )


def table(loads: Sequence[Load], costs: Costs) -> str:
    """Return the needs of some loads side by side, in Markdown."""
    columns = [list(needs(load, costs)) for load in loads]
    heads = " | ".join(f"{load.orgs:,} orgs" for load in loads)
    lines = [f"| | how | {heads} |", f"|---|---|{'---:|' * len(loads)}"]
    for row in zip(*columns, strict=True):
        amounts = " | ".join(_shown(need.amount) for need in row)
        lines.append(f"| {row[0].what} | {row[0].formula} | {amounts} |")
    return "\n".join(lines) + "\n"


def _busy(cpu_us: float) -> float:
    """Return the cores that one a second takes, at the share of them that may be busy."""
    return cpu_us / 1e6 / BUSY_SHARE


def _processes(per_s: float, cpu_us: float) -> int:
    return max(LEAST_COUNT, math.ceil(per_s * _busy(cpu_us)))


def _cores(rate: str, cpu_us: float) -> str:
    return f"{rate} × {cpu_us:,.0f} µs ÷ {BUSY_SHARE:g}"


def _formula(rate: str, cpu_us: float) -> str:
    return f"{_cores(rate, cpu_us)}, {LEAST_COUNT} at least"


def _shown(amount: float) -> str:
    if amount >= _WHOLE_FROM or amount == round(amount):
        return f"{amount:,.0f}"
    return f"{amount:,.2g}" if amount >= _LEAST_SHOWN else f"under {_LEAST_SHOWN}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m ops.capacity", description=__doc__)
    parser.add_argument("--orgs", type=int, nargs="+", default=SIZES)
    for name, default in Load._field_defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default)
    told = vars(parser.parse_args())
    loads = [Load(**{**told, "orgs": orgs}) for orgs in told["orgs"]]
    sys.stdout.write(table(loads, Costs()))


if __name__ == "__main__":
    main()
