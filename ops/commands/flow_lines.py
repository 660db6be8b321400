"""The flow as people read it: one line an object, and what runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ops.commands.lines import times
from ops.runtime import printable
from ops.times import ago, span
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from ops.flow import Drain, Flow, ObjectFlow

_COLUMNS = (
    *("in/s", "queue", "oldest", "workers", "out/s", "p50 ms", "p99 ms", "dead"),
    *("fire/s", "outbox", "oldest", "sent/s", "failed"),
)

# A digit more where it says something.
_EXACT_BELOW = 10


def flow_table(flow: Flow) -> Table:
    """Return a line for each object, in the order of the path."""
    table = _table("object", *_COLUMNS)
    for one in flow.objects:
        table.add_row(*_cells(one))
    return table


def _cells(one: ObjectFlow) -> Iterator[Text]:
    waiting = None if one.depth_count is None else one.depth_count + one.in_hand_count
    is_left = bool(waiting) and not one.worker_count
    yield Text(one.object)
    yield _rate(one.accepted_per_s)
    yield _number(waiting)
    yield _span(one.oldest_s)
    yield Text(str(one.worker_count), style="bold red" if is_left else "")
    yield _rate(one.committed_per_s)
    yield from (_number(one.latency.p50_ms, ""), _number(one.latency.p99_ms, ""))
    yield _bad(one.dead_count + (one.dead_queue_count or 0))
    yield _rate(one.fired_per_s)
    yield Text(_short(one.outbox.open_count) + ("+" if one.outbox.has_more else ""))
    yield _span(one.outbox.oldest_s)
    yield _rate(one.sent_per_s)
    yield _bad(one.failed_count)


def told_lines(flow: Flow) -> Iterator[Text]:
    """Yield what is not of one object: callouts, processes, and what could not be told."""
    yield Text("")
    yield Text(
        f"last hour: {times(flow.callout_count, 'callout')} taken in,"
        f" {flow.refused_count:,} refused, {flow.put_off_count:,} put off (503, 429);"
        " rates are of the last minute"
    )
    running = Counter(one.kind for one in flow.processes if one.state == "running")
    kinds = [f"{running[kind]} {kind}" for kind in ("ingest", "worker", "relay", "console")]
    yield Text(f"running: {', '.join(kinds)}")
    versions = {one.version or "an older one" for one in flow.processes if one.state == "running"}
    if len(versions) > 1:
        yield Text(printable(f"of several versions: {', '.join(sorted(versions))}"))
    for one in flow.processes:
        if one.state == "silent":
            where = printable(f"{one.kind} {one.pid} on {one.host}")
            yield Text(f"{where} told of itself last {ago(one.told_at)}", style="yellow")
    if flow.problem:
        yield Text(printable(flow.problem), style="bold red")


def drain_parts(drains: Sequence[Drain]) -> Iterator[RenderableType]:
    """Yield how many workers each object needs, and why that is not known of some."""
    table = _table("object", "changes waiting", "arriving/s", "one worker/s", "workers", "needed")
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    for one in drains:
        table.add_row(
            one.object,
            _number(one.backlog_count),
            _rate(one.arriving_per_s),
            _number(one.worker_changes_per_s),
            str(one.worker_count),
            _number(one.workers_needed),
        )
        if one.why is not None:
            unknown[one.why].append(one.object)
    yield Text(f"\nto drain within {span(drains[0].within_s)}:")
    yield table
    for why, objects in unknown.items():
        yield Text(f"{', '.join(objects)}: not known, {why}", style="yellow")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True, min_width=len(SObject.OPPORTUNITY))
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _number(value: float | None, without: str = "?") -> Text:
    return Text(without if value is None else _short(round(value)))


def _rate(value: float) -> Text:
    return Text(_short(value), style="" if value else "dim")


def _span(value: float | None) -> Text:
    # The larger unit alone: `3 h`.
    return Text("" if value is None else " ".join(span(value).split()[:2]))


def _bad(count: int) -> Text:
    return Text(_short(count), style="red" if count else "dim")


def _short(value: float) -> str:
    """Return a number in five characters: `0.3`, `9,999`, `123k`, `1.2M`."""
    for least, unit in ((1_000_000, "M"), (10_000, "k")):
        if value >= least:
            scaled = value / (1_000_000 if unit == "M" else 1_000)
            return f"{scaled:,.1f}{unit}" if scaled < _EXACT_BELOW else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}" if value >= _EXACT_BELOW or value == int(value) else f"{value:.1f}"
