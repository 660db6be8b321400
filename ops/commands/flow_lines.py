"""The flow as people read it: one line an object, and what runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ops.commands.lines import times
from ops.runtime import printable
from ops.times import ago, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.flow import Drain, Flow, Latency, ObjectFlow

_NUMBERS = ("in/s", "waiting", "oldest", "workers", "out/s", "p50", "p99", "dead")
_LATER = ("fired/s", "outbox", "oldest", "sent/s", "p99", "failed")


def flow_table(flow: Flow) -> Table:
    """Return a line for each object, in the order of the path."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("object")
    for column in (*_NUMBERS, *_LATER):
        table.add_column(column, justify="right")
    for one in flow.objects:
        table.add_row(*_cells(one))
    return table


def _cells(one: ObjectFlow) -> Iterator[Text]:
    waiting = None if one.depth_count is None else one.depth_count + one.in_hand_count
    is_left = bool(waiting) and not one.worker_count
    outbox = one.outbox
    yield Text(one.object)
    yield _rate(one.accepted_per_s)
    yield _number(waiting)
    yield _span(one.oldest_s)
    yield Text(str(one.worker_count), style="bold red" if is_left else "")
    yield _rate(one.committed_per_s)
    yield from (_ms(one.latency.p50_ms), _ms(one.latency.p99_ms))
    yield _bad(one.dead_count + (one.dead_queue_count or 0))
    yield _rate(one.fired_per_s)
    yield Text(f"{outbox.open_count:,}" + ("+" if outbox.has_more else ""))
    yield _span(outbox.oldest_s)
    yield _rate(one.sent_per_s)
    yield _ms(_p99(one.send_latency))
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
    for one in flow.processes:
        if one.state == "silent":
            where = printable(f"{one.kind} {one.pid} on {one.host}")
            yield Text(f"{where} told of itself last {ago(one.told_at)}", style="yellow")
    if flow.problem:
        yield Text(printable(flow.problem), style="bold red")


def drain_table(drains: Sequence[Drain]) -> Table:
    """Return how many workers each object needs."""
    within = span(drains[0].within_s)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("object")
    for column in ("changes waiting", "arriving/s", "one worker/s", "workers now"):
        table.add_column(column, justify="right")
    table.add_column(f"needed to drain in {within}", justify="right")
    for one in drains:
        needed = one.why if one.workers_needed is None else f"{one.workers_needed:,}"
        table.add_row(
            one.object,
            _number(one.backlog_count),
            _rate(one.arriving_per_s),
            _number(one.worker_changes_per_s),
            str(one.worker_count),
            needed,
        )
    return table


def _p99(latency: Latency) -> float | None:
    return latency.p99_ms


def _number(value: float | None) -> Text:
    return Text("?" if value is None else f"{value:,.0f}")


def _rate(value: float) -> Text:
    return Text(f"{value:,.1f}" if value < 10 else f"{value:,.0f}", style="" if value else "dim")  # noqa: PLR2004  a digit more where it says something


def _ms(value: float | None) -> Text:
    return Text("" if value is None else f"{value:,.0f} ms")


def _span(value: float | None) -> Text:
    return Text("" if value is None else span(value))


def _bad(count: int) -> Text:
    return Text(f"{count:,}", style="red" if count else "dim")
