"""Events: every add and exit that a firing caused, kept for the folds to come."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from pipeline import json_text
from rules import Call, Enroll, Exit, ReEnroll
from workers.enrollments.fold import Added, Removed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncpg import Record

    from pipeline.database import Connection
    from workers.enrollments.fired import Fired
    from workers.enrollments.fold import Event
    from workers.enrollments.tell import EnrollmentKey

# Keep events; return the enrolments that got one of a record that has ended at some time.
_INSERT_EVENTS: Final = """
    WITH written AS (
        INSERT INTO enrollment_event (firing_id, action, kind, org_id, sequence, recipient,
                                      captured_at, capture_sequence, capture_id, rule, record_id,
                                      re_enroll, ceiling, variables)
        SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[],
                             $6::text[], $7::bigint[], $8::integer[], $9::text[], $10::text[],
                             $11::text[], $12::text[], $13::integer[], $14::jsonb[])
        RETURNING org_id, sequence, recipient, record_id)
    SELECT DISTINCT org_id, sequence, recipient FROM written
    WHERE EXISTS (
        SELECT FROM record_end
        WHERE record_end.org_id = written.org_id AND record_end.record_id = written.record_id)"""

# Take back the events of firings that moved; return whose enrolments lost one.
_DELETE_EVENTS: Final = """
    DELETE FROM enrollment_event WHERE firing_id = ANY($1::bigint[])
    RETURNING org_id, sequence, recipient"""

# Read every event of some enrolments, each one's in order, as committed now.
READ_EVENTS: Final = """
    SELECT place, event.*
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
        AS wanted (org_id, sequence, recipient, place)
    CROSS JOIN LATERAL (
        SELECT captured_at, capture_sequence, capture_id, rule, action, record_id, kind, firing_id,
               re_enroll, ceiling
        FROM enrollment_event AS kept
        WHERE (kept.org_id, kept.sequence, kept.recipient)
            = (wanted.org_id, wanted.sequence, wanted.recipient)
        ORDER BY captured_at, capture_sequence, capture_id, rule, action, record_id) AS event"""


class NewEvents(NamedTuple):
    """The events that firings brought, and which enrolments have to be folded from the start."""

    by_enrollment: Mapping[EnrollmentKey, list[Event]]
    afresh: set[EnrollmentKey]


async def write_events(
    connection: Connection, counted: Mapping[int, Fired], replaced: Sequence[int]
) -> NewEvents:
    """Write an event for each recipient that a firing adds or removes.

    Firings that moved to an earlier change give up the events of the later one first.
    """
    afresh: set[EnrollmentKey] = set()
    if replaced:
        afresh.update(map(_key, await connection.fetch(_DELETE_EVENTS, replaced)))
    events: defaultdict[EnrollmentKey, list[Event]] = defaultdict(list)
    rows: list[tuple[object, ...]] = []
    for firing_id, one in counted.items():
        change, match = one.change, one.match
        for action, effect in enumerate(match.actions):
            # A call is told to its own URL, and without a plausible address there is nobody.
            if isinstance(effect, Call) or effect.recipient is None:
                continue
            key = (change.org_id, effect.sequence, effect.recipient)
            place = (*change.order, match.rule, action, change.record_id)
            columns = (*key, *change.order, match.rule, change.record_id)
            match effect:
                case Enroll(re_enroll=re_enroll):
                    events[key].append(Added(*place, firing_id, re_enroll, match.ceiling))
                    variables = json_text.encode_masked(effect.variables)
                    more = ("add", *columns, re_enroll.value, match.ceiling, variables)
                    rows.append((firing_id, action, *more))
                case Exit():
                    events[key].append(Removed(*place))
                    rows.append((firing_id, action, "exit", *columns, None, None, "{}"))
                case _:
                    assert_never(effect)
    if rows:
        ended = await connection.fetch(_INSERT_EVENTS, *map(list, zip(*rows, strict=True)))
        afresh.update(map(_key, ended))
    return NewEvents(events, afresh)


async def read_events(
    connection: Connection, keys: Sequence[EnrollmentKey]
) -> dict[EnrollmentKey, list[Event]]:
    """Read all that was ever kept of some enrolments; their rows are locked."""
    events: dict[EnrollmentKey, list[Event]] = {key: [] for key in keys}
    for row in await connection.fetch(READ_EVENTS, *map(list, zip(*keys, strict=True))):
        number, at, sequence, capture_id, rule, action, record_id, kind, *of_add = row
        place = (at, sequence, capture_id, rule, action, record_id)
        if kind == "add":
            firing_id, re_enroll, ceiling = of_add
            event: Event = Added(*place, firing_id, ReEnroll(re_enroll), ceiling)
        else:
            event = Removed(*place)
        events[keys[number - 1]].append(event)
    return events


def _key(row: Record) -> EnrollmentKey:
    return (row["org_id"], row["sequence"], row["recipient"])
