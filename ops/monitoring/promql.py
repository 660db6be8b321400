"""PromQL, written from the metrics themselves: what is renamed in the code is renamed here.

Each function takes the kind of metric that it means something of, so that the type checker refuses
the rate of a gauge. A label that the metric has not is refused as the expression is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Counter, Gauge, Histogram
    from prometheus_client.metrics import MetricWrapperBase

# What Prometheus itself adds to each series.
TARGET_LABELS: Final = frozenset({"job", "instance"})
# Grafana's, as long as a panel needs for its width; alerts say how long themselves.
PANEL_WINDOW: Final = "$__rate_interval"


class Like(str):
    """A regular expression that a label has to match as a whole."""

    __slots__ = ()


def rate(counter: Counter, by: Sequence[str] = (), over: str = PANEL_WINDOW, **where: str) -> str:
    """Return how much a counter grows a second."""
    return _sum(by, f"rate({_select(counter, '_total', by, where)}[{over}])")


def increase(
    counter: Counter, by: Sequence[str] = (), over: str = PANEL_WINDOW, **where: str
) -> str:
    """Return how much a counter grew over a time."""
    return _sum(by, f"increase({_select(counter, '_total', by, where)}[{over}])")


def quantile(
    q: float,
    histogram: Histogram,
    by: Sequence[str] = (),
    over: str = PANEL_WINDOW,
    **where: str,
) -> str:
    """Return a quantile of what a histogram observed over a time, of all processes together."""
    buckets = _select(histogram, "_bucket", by, where)
    return f"histogram_quantile({q:g}, {_sum(('le', *by), f'rate({buckets}[{over}])')})"


def observed(
    histogram: Histogram, by: Sequence[str] = (), over: str = PANEL_WINDOW, **where: str
) -> str:
    """Return how often a histogram observed something, a second."""
    return _sum(by, f"rate({_select(histogram, '_count', by, where)}[{over}])")


def mean(
    histogram: Histogram, by: Sequence[str] = (), over: str = PANEL_WINDOW, **where: str
) -> str:
    """Return the mean of what a histogram observed over a time."""
    total = _sum(by, f"rate({_select(histogram, '_sum', by, where)}[{over}])")
    return f"{total} / {observed(histogram, by, over, **where)}"


def total(gauge: Gauge, by: Sequence[str] = (), **where: str) -> str:
    """Return a gauge summed up: of what each process has of its own."""
    return _sum(by, _select(gauge, "", by, where))


def greatest(gauge: Gauge, by: Sequence[str] = (), **where: str) -> str:
    """Return the greatest of a gauge: of what several processes see of the same thing."""
    return f"max{_by(by)} ({_select(gauge, '', by, where)})"


def least(gauge: Gauge, by: Sequence[str] = (), **where: str) -> str:
    """Return the least of a gauge."""
    return f"min{_by(by)} ({_select(gauge, '', by, where)})"


def share(part: str, whole: str) -> str:
    """Return how much of the whole a part is, from 0 to 1."""
    return f"{part} / {whole}"


def _select(
    metric: MetricWrapperBase, suffix: str, by: Sequence[str], where: dict[str, str]
) -> str:
    (family,) = metric.describe()
    known = TARGET_LABELS | set(metric._labelnames)  # noqa: SLF001  the library shows them nowhere else
    if unknown := {*by, *where} - known:
        raise ValueError(f"{family.name} has no label {', '.join(sorted(unknown))}")
    matchers = ", ".join(
        f'{label}{"=~" if isinstance(value, Like) else "="}"{value}"'
        for label, value in where.items()
    )
    return f"{family.name}{suffix}{{{matchers}}}" if matchers else f"{family.name}{suffix}"


def _sum(by: Sequence[str], of: str) -> str:
    return f"sum{_by(by)} ({of})"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
