"""The enrolments of a forgotten person: whoever is told of them hears their end, then they go.

Theirs are those of their address, and those that nobody else's record added. They give up their
recipient at once, for whoever is enrolled anew; what the relay has yet to tell keeps it until that
is told. Others, of another person by one of their records, stand as they do, without the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.enrollments.fold import Exited
from workers.enrollments.tell import Word, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.forget.people import Theirs
    from pipeline.database import Connection

# Theirs by address or by record, in the order of their keys.
_FIND: Final = """
    SELECT enrollment_id, org_id, sequence, recipient FROM enrollment
    WHERE org_id = $1 AND recipient = ANY($2::text[])
    UNION
    SELECT enrollment.enrollment_id, org_id, sequence, recipient
    FROM unnest($3::text[]) AS gone (record_id)
    JOIN enrollment_event AS own ON own.org_id = $1 AND own.record_id = gone.record_id
    JOIN enrollment USING (org_id, sequence, recipient)
    WHERE NOT EXISTS (
        SELECT FROM enrollment_event AS other
        WHERE (other.org_id, other.sequence, other.recipient)
            = (own.org_id, own.sequence, own.recipient)
          AND other.kind = 'add' AND other.record_id <> ALL($3::text[]))
    ORDER BY org_id, sequence, recipient LIMIT $4"""
_BLANK_FIRINGS: Final = """
    UPDATE firing SET evidence = '[]' WHERE firing_id IN (
        SELECT firing_id FROM unnest($1::text[], $2::text[], $3::text[])
            AS gone (org_id, sequence, recipient)
        JOIN enrollment_event USING (org_id, sequence, recipient))"""
_DELETE_EVENTS: Final = """
    DELETE FROM enrollment_event AS event
    USING unnest($1::text[], $2::text[], $3::text[]) AS gone (org_id, sequence, recipient)
    WHERE (event.org_id, event.sequence, event.recipient)
        = (gone.org_id, gone.sequence, gone.recipient)"""
# The target may have whom any generation added that no exit ended since.
_LOCK: Final = """
    SELECT enrollment_id, org_id, sequence, recipient, generation,
           generation > exited_generation AND EXISTS (
               SELECT FROM outbox
               WHERE outbox.enrollment_id = enrollment.enrollment_id AND kind = 'add'
                 AND (outbox.state = 'delivered' OR unanswered)) AS is_told
    FROM enrollment WHERE enrollment_id = ANY($1::bigint[])
    ORDER BY org_id, sequence, recipient FOR UPDATE"""
# An open row that may have been sent is left to the relay: it comes before the exit.
_DROP: Final = """
    UPDATE outbox SET state = 'superseded', settled_at = now()
    WHERE enrollment_id = ANY($1::bigint[]) AND kind = 'add'
      AND (state = 'held' OR state = 'open' AND NOT unanswered)"""
_EMPTY: Final = """
    UPDATE enrollment
    SET recipient = 'forgotten ' || enrollment_id, state = 'exited', variables = '{}',
        exited_generation = generation, reason = 'exited: forgotten', firing_id = NULL
    WHERE enrollment_id = ANY($1::bigint[])"""
_COUNT_OPEN: Final = """
    SELECT count(*) FROM outbox
    WHERE enrollment_id = ANY($1::bigint[]) AND state IN ('open', 'held')"""
_LOCK_EMPTIED: Final = """
    SELECT enrollment_id FROM enrollment WHERE enrollment_id = ANY($1::bigint[])
    ORDER BY org_id, sequence, recipient FOR UPDATE"""
_DELETE_OUTBOX: Final = "DELETE FROM outbox WHERE enrollment_id = ANY($1::bigint[])"
_DELETE: Final = "DELETE FROM enrollment WHERE enrollment_id = ANY($1::bigint[])"
_BLANK_EVENTS: Final = """
    UPDATE enrollment_event AS event SET variables = '{}'
    FROM unnest($2::text[]) AS gone (record_id)
    WHERE event.org_id = $1 AND event.record_id = gone.record_id AND variables <> '{}'"""
_BLANK_OTHERS: Final = """
    UPDATE enrollment SET variables = '{}' WHERE enrollment_id IN (
        SELECT enrollment_id FROM unnest($2::text[]) AS gone (record_id)
        JOIN enrollment_event AS event ON event.org_id = $1 AND event.record_id = gone.record_id
        JOIN enrollment USING (org_id, sequence, recipient)
        WHERE enrollment.firing_id = event.firing_id AND enrollment.variables <> '{}'
        ORDER BY org_id, sequence, recipient FOR NO KEY UPDATE OF enrollment)"""


async def end_some(connection: Connection, theirs: Theirs, *, tells: bool, limit: int) -> list[int]:
    """End up to `limit` of the person's enrolments; return their ids, none once all are.

    `tells`: an exit is left for each that the target may have.
    """
    rows = await connection.fetch(_FIND, *theirs, limit)
    if not rows:
        return []
    ids = [row["enrollment_id"] for row in rows]
    keys = [list(column) for column in zip(*(tuple(row)[1:] for row in rows), strict=True)]
    await connection.execute(_BLANK_FIRINGS, *keys)
    await connection.execute(_DELETE_EVENTS, *keys)
    locked = await connection.fetch(_LOCK, ids)
    if tells:
        words = [
            Word(row["enrollment_id"], tuple(row)[1:4], Exited(row["generation"], None))
            for row in locked
            if row["is_told"]
        ]
        await tell(connection, words)
    await connection.execute(_DROP, ids)
    await connection.execute(_EMPTY, ids)
    return ids


async def count_untold(connection: Connection, ids: Sequence[int]) -> int:
    """Return how many rows the relay has yet to tell of ended enrolments."""
    count: int = await connection.fetchval(_COUNT_OPEN, ids)
    return count


async def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Delete ended enrolments with all that was told of them."""
    await connection.execute(_LOCK_EMPTIED, ids)
    await connection.execute(_DELETE_OUTBOX, ids)
    await connection.execute(_DELETE, ids)


async def blank_others(connection: Connection, theirs: Theirs) -> None:
    """Take the person's values out of other people's enrolments that their records brought."""
    await connection.execute(_BLANK_EVENTS, theirs.org_id, theirs.record_ids)
    await connection.execute(_BLANK_OTHERS, theirs.org_id, theirs.record_ids)


async def find(connection: Connection, theirs: Theirs) -> list[int]:
    """Return the ids of the person's enrolments."""
    rows = await connection.fetch(_FIND, *theirs, None)
    return [row["enrollment_id"] for row in rows]
