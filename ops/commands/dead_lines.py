"""Dead letters and plans for them in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.bulk_runs import RunKind
from ops.commands.dead_filter import told
from ops.commands.lines import folded, times
from ops.dead_letters import DeadLetterRow
from ops.runtime import printable
from ops.times import iso, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.dead_letters import DeadLetterWhole, DeadPlan

_MAX_SAMPLE_CHARS: Final = 160
_UNIX_MS: Final = frozenset({"captured_at", "received_at"})


def whole_lines(found: DeadLetterWhole) -> Iterator[str]:
    """Return one dead letter, what it holds last."""
    for field in (*DeadLetterRow.__struct_fields__, "settled_by", "persisted_at"):
        value = getattr(found, field)
        if value is not None:
            yield f"{field}: {printable(iso(value) if field in _UNIX_MS else str(value))}"
    if found.original is not None:
        yield f"original: {printable(bytes(found.original).decode())}"
    for one in found.callouts:
        yield f"callout {printable(one.callout_id)}, received {iso(one.received_at)}:"
        if one.problem is not None:
            yield f"  problem: {printable(one.problem)}"
        text = bytes(one.body).decode() if one.body is not None else one.text or ""
        yield f"  {one.kind}: {printable(text)}"
    if found.message_base64 is not None:
        yield f"message, base64: {found.message_base64}"


def plan_lines(planned: DeadPlan, rate_per_s: int) -> Iterator[str]:
    """Return what a run would be applied to, what comes of it, and how to begin it."""
    if planned.total_count == 0:
        yield f"no dead letters: {told(planned.filter)}"
        return
    verb = "replayed" if planned.kind is RunKind.DEAD_REPLAY else "discarded"
    yield (
        f"{times(planned.total_count, 'dead letter')} would be {verb}"
        f" ({printable(told(planned.filter))}), at {rate_per_s:,}/s in"
        f" {span(planned.total_count / rate_per_s)}:"
    )
    width = len(f"{planned.counts[0].count:,}")
    for one in planned.counts:
        yield f"  {one.count:>{width},}  {one.reason}  {one.object}"
    yield "Some of them:"
    for row in planned.sample:
        error = printable(row.error)
        shown = error if len(error) <= _MAX_SAMPLE_CHARS else f"{error[:_MAX_SAMPLE_CHARS]} ..."
        yield from folded(f"{row.id}  {row.reason}  {row.object} {row.record_id or ''}  {shown}", 2)
    if planned.expect:
        yield "What to expect:"
        for line in planned.expect:
            yield from folded(line, 2)
    yield "Nothing is done yet: the same command with --apply does it."
