"""Loads in lines of text, and what to do in Salesforce to have them begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.commands.lines import folded
from ops.loads import LoadState
from ops.times import ago, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.loads import Load
    from ops.needed_loads import NeededLoad

BEGIN_NOW: Final = (
    "Salesforce asks for it within the hour. To have it ask now, somebody who may run anonymous",
    "Apex there runs this line (of a managed package with its namespace: yours.Penstock.…):",
    "",
    "    Penstock.heartbeat();",
    "",
)


class LoadLine(msgspec.Struct, frozen=True):
    """A load as a line of the table."""

    object: str
    state: str
    sent: str
    rate: str | None
    time_left: str | None
    cause: str
    began: str | None
    heard_of: str | None


def load_line(load: Load) -> LoadLine:
    """Return a load as a line of the table."""
    since = "" if load.since is None else f", since {load.since}"
    return LoadLine(
        object=load.object,
        state=load.state,
        sent=_sent(load),
        rate=None if load.records_per_s is None else f"{load.records_per_s:,.0f}/s",
        time_left=None if load.left_s is None else span(load.left_s),
        cause=f"{load.cause}{since}",
        began=None if load.began_at is None else ago(load.began_at),
        heard_of=None if load.heard_at is None else ago(load.heard_at),
    )


def progress(load: Load) -> str:
    """Return how far a load is, beside its bar."""
    if load.state is not LoadState.RUNNING:
        return f"{_sent(load)}, {load.state}"
    line = load_line(load)
    parts = [line.sent, line.rate, None if line.time_left is None else f"{line.time_left} left"]
    return ", ".join(part for part in parts if part is not None)


def needed_lines(org_id: str, loads: Iterable[NeededLoad], *, dry_run: bool) -> Iterator[str]:
    """Return what new conditions load, or would load, and how to watch or stop it."""
    whats = [
        f"{load.object} ({', '.join(load.fields)} newly watched)"
        if load.fields
        else f"{load.object} (newly needed)"
        for load in loads
    ]
    if not whats:
        return
    would = "would be" if dry_run else "is"
    yield from folded(f"Salesforce {would} asked for all records of {', '.join(whats)}.", 0)
    if not dry_run:
        yield f"`penstock org loads {org_id}` shows how far that is,"
        yield f"`penstock org load {org_id} --cancel` stops it."


def _sent(load: Load) -> str:
    if load.total_count is None:
        return f"{load.sent_count:,}"
    # Records that were created meanwhile come on top of the total.
    share = min(1.0, load.sent_count / load.total_count) if load.total_count else 1.0
    return f"{load.sent_count:,} of {load.total_count:,} ({share:.0%})"
