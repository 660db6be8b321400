"""Ends of records, as enrolments see them: whose lines end where, and whom an end concerns."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from workers.enrollments.fold import Added, Ended, EndKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.database import Connection
    from workers.enrollments.fold import Event
    from workers.enrollments.tell import EnrollmentKey

    # (org, record).
    RecordKey = tuple[str, str]

# Read every end of some records, of those that went on in their place, and so on. Each record is
# visited once, so merges that go round in a circle come to an end.
_READ_ENDS: Final = """
    WITH RECURSIVE line (org_id, record_id) AS (
        SELECT org_id COLLATE "C", record_id COLLATE "C"
        FROM unnest($1::text[], $2::text[]) AS known (org_id, record_id)
        UNION
        SELECT line.org_id, record_end.successor_id
        FROM line JOIN record_end USING (org_id, record_id)
        WHERE record_end.successor_id IS NOT NULL)
    SELECT org_id, captured_at, sequence, capture_id, record_id, kind, successor_id
    FROM line JOIN record_end USING (org_id, record_id)"""

# Find the enrolments that some records, or records that they went on in the place of, ever added.
_FIND_ENROLLED: Final = """
    WITH RECURSIVE line (org_id, record_id) AS (
        SELECT org_id COLLATE "C", record_id COLLATE "C"
        FROM unnest($1::text[], $2::text[]) AS known (org_id, record_id)
        UNION
        SELECT line.org_id, record_end.record_id
        FROM line JOIN record_end
            ON record_end.org_id = line.org_id AND record_end.successor_id = line.record_id)
    SELECT DISTINCT org_id, added.sequence, added.recipient
    FROM line CROSS JOIN LATERAL (
        SELECT DISTINCT event.sequence, event.recipient FROM enrollment_event AS event
        WHERE event.org_id = line.org_id AND event.record_id = line.record_id) AS added"""


async def find_enrolled(
    connection: Connection, records: Collection[RecordKey]
) -> set[EnrollmentKey]:
    """Return the enrolments that the ends of `records` may concern."""
    if not records:
        return set()
    columns = map(list, zip(*sorted(records), strict=True))
    rows = await connection.fetch(_FIND_ENROLLED, *columns)
    return {(row["org_id"], row["sequence"], row["recipient"]) for row in rows}


async def read_ends(
    connection: Connection, events: Mapping[EnrollmentKey, Iterable[Event]]
) -> dict[EnrollmentKey, list[Ended]]:
    """Return the ends in the lines of the records that added to some enrolments, of each."""
    sources = {
        key: {(key[0], event.record_id) for event in own if isinstance(event, Added)}
        for key, own in events.items()
    }
    records = sorted(set().union(*sources.values()))
    if not records:
        return {}
    ends: defaultdict[RecordKey, list[Ended]] = defaultdict(list)
    for row in await connection.fetch(_READ_ENDS, *map(list, zip(*records, strict=True))):
        org_id, at, sequence, capture_id, record_id, kind, successor_id = row
        end = Ended(at, sequence, capture_id, record_id, EndKind(kind), successor_id)
        ends[org_id, record_id].append(end)
    return {key: _line(own, ends) for key, own in sources.items()} if ends else {}


def _line(records: set[RecordKey], ends: Mapping[RecordKey, list[Ended]]) -> list[Ended]:
    line: list[Ended] = []
    waiting, seen = list(records), set(records)
    while waiting:
        org_id, record_id = waiting.pop()
        for end in ends.get((org_id, record_id), ()):
            line.append(end)
            if end.successor_id is None or (org_id, end.successor_id) in seen:
                continue
            seen.add((org_id, end.successor_id))
            waiting.append((org_id, end.successor_id))
    return line
