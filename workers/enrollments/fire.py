"""Firings and their effects: a constant number of statements for a whole batch of matches.

Tables are written in one order (`firing`, `enrollment_event`, `enrollment`, `outbox`, `rule_hour`)
and rows in the order of their keys, so that batches that overlap cannot deadlock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline import metrics
from workers.enrollments import standings
from workers.enrollments.calls import call
from workers.enrollments.ceilings import hold_beyond_ceilings
from workers.enrollments.ends import find_enrolled, read_ends
from workers.enrollments.events import NewEvents, read_events, write_events
from workers.enrollments.fired import Fired, earliest
from workers.enrollments.firings import write_firings
from workers.enrollments.fold import fold, go_on
from workers.enrollments.tell import Word, difference, drop_held, tell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.database import Connection
    from workers.enrollments.fold import Event, Folded
    from workers.enrollments.standings import Kept
    from workers.enrollments.tell import Enrolled, EnrollmentKey


async def fire(
    connection: Connection,
    fired: Iterable[Fired],
    ended: Collection[tuple[str, str]] = frozenset(),
) -> int:
    """Write firings and bring what they touch up to date: enrolments, outbox, ceilings.

    Return how many firings count that did not before. `ended`: the records (org, record id) whose
    ends were just kept. To be called once in a transaction, since locks of a second call would be
    out of order.
    """
    counted, replaced = await write_firings(connection, earliest(fired))
    new = await write_events(connection, counted, replaced)
    new.afresh.update(await find_enrolled(connection, ended))
    enrolled = await bring_up_to_date(connection, new)
    await call(connection, counted)
    await hold_beyond_ceilings(connection, enrolled)
    for sobject, count in Counter(one.change.object for one in counted.values()).items():
        metrics.firings.labels(sobject).inc(count)
    return len(counted)


async def bring_up_to_date(connection: Connection, new: NewEvents) -> list[Enrolled]:
    """Lock the enrolments, fold what is new of them, write what differs; return who is enrolled."""
    keys = sorted(new.by_enrollment.keys() | new.afresh)
    if not keys:
        return []
    locked = sorted(await standings.lock(connection, keys), key=lambda kept: kept.key)
    afresh = [
        kept.key
        for kept in locked
        if kept.key in new.afresh or not _come_after(kept, new.by_enrollment[kept.key])
    ]
    refolded = await _fold_afresh(connection, afresh)
    folds = [
        (kept, refolded.get(kept.key) or go_on(kept.standing, new.by_enrollment[kept.key]))
        for kept in locked
    ]
    words = [
        Word(kept.enrollment_id, kept.key, step)
        for kept, folded in folds
        for step in difference(kept.standing, folded)
    ]
    enrolled = await tell(connection, words)
    await drop_held(
        connection, [(one.enrollment_id, to.standing) for one, to in folds if _is_less(one, to)]
    )
    await standings.write(
        connection, [one for one in folds if one[0].key in new.by_enrollment or _differs(*one)]
    )
    return enrolled


def _is_less(kept: Kept, folded: Folded) -> bool:
    """Tell whether a generation is over that was not, or was taken back."""
    stood, stands = kept.standing, folded.standing
    return (
        stands.exited_generation > stood.exited_generation or stands.generation < stood.generation
    ) and stood.generation > 0


def _differs(kept: Kept, folded: Folded) -> bool:
    """Tell whether a fold without new events changes anything; the relay's reasons stay."""
    stood, stands = kept.standing, folded.standing
    decided_by = folded.decided_by and folded.decided_by.firing_id
    reason = stands.reason or stood.reason
    return (stood, kept.firing_id) != (stands._replace(reason=reason), decided_by)


def _come_after(kept: Kept, events: Iterable[Event]) -> bool:
    """Tell whether all events are of later changes than whatever was folded."""
    if kept.standing.folded is None:
        # Nothing was folded so far, unless by a version that did not keep how far it came.
        return kept.standing.generation == 0
    return all(event[:3] > kept.standing.folded for event in events)


async def _fold_afresh(
    connection: Connection, keys: list[EnrollmentKey]
) -> Mapping[EnrollmentKey, Folded]:
    if not keys:
        return {}
    events = await read_events(connection, keys)
    ends = await read_ends(connection, events)
    return {key: fold(own, ends.get(key, ())) for key, own in events.items()}
