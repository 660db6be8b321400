"""States of records as an org was asked for them: kept beside what its triggers told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.objects import Operation, SObject
from workers.enrollments import EndKind
from workers.healing.reading import is_reading, transaction_of
from workers.received import ReceivedChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.database import Connection
    from workers.history import ChangeKey

# What is stored now, and the epoch of the rules, read after the states were written
# (0004_lookups.sql says why that matters).
_READ_TIMES: Final = """
    SELECT record.org_id, record.record_id, record.captured_at
    FROM unnest($1::text[], $2::text[]) AS told (org_id, record_id)
    JOIN record USING (org_id, record_id)"""
_READ_EPOCH: Final = "SELECT penstock_rule_epoch()"
# Rows are locked in the order of their key. A record that was never stored leaves no tombstone; one
# that is gone already is gone until the reading, whatever arrives of the time between.
_BURY: Final = """
    WITH gone AS (
        SELECT record.org_id, record.record_id, told.captured_at, told.sequence, told.capture_id,
               record.deleted AS was_gone
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[])
            AS told (org_id, record_id, captured_at, sequence, capture_id)
        JOIN record ON (record.org_id, record.record_id) = (told.org_id, told.record_id)
        WHERE (record.captured_at, record.sequence, record.capture_id)
            < (told.captured_at, told.sequence, told.capture_id)
        ORDER BY record.org_id, record.record_id FOR UPDATE OF record)
    UPDATE record
    SET deleted = true, captured_at = gone.captured_at, sequence = gone.sequence,
        capture_id = gone.capture_id
    FROM gone WHERE (record.org_id, record.record_id) = (gone.org_id, gone.record_id)
    RETURNING gone.*"""
_INSERT_ENDS: Final = """
    INSERT INTO record_end (org_id, record_id, captured_at, sequence, capture_id, kind)
    SELECT *, $6 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[])
    ON CONFLICT DO NOTHING"""
_READ_AGAIN: Final = """
    SELECT record.* FROM unnest($1::text[], $2::text[], $3::text[])
        AS wanted (org_id, record_id, capture_id)
    JOIN record USING (org_id, record_id, capture_id)
    WHERE NOT deleted"""


async def find_current(
    connection: Connection, states: Sequence[ReceivedChange]
) -> tuple[list[ReceivedChange], int]:
    """Return the states that are as new as what is stored, to the second, and the rules' epoch.

    To be called once they are written. Those that are older are of no interest to a rule.
    """
    rows = await connection.fetch(
        _READ_TIMES, [state.org_id for state in states], [state.record_id for state in states]
    )
    stored = {(row["org_id"], row["record_id"]): row["captured_at"] for row in rows}
    current = [
        state
        for state in states
        if stored[state.org_id, state.record_id] // 1000 <= state.captured_at // 1000
    ]
    return current, await connection.fetchval(_READ_EPOCH)


async def keep_absences(
    connection: Connection, read: Iterable[ReceivedChange]
) -> frozenset[tuple[str, str]]:
    """Bury the stored records that an org was asked for and does not have; return those.

    A change that could have come after the reading (`Reading.order`) stays the newer one.
    """
    newest = {
        (org_id, record_id): (org_id, record_id, *order)
        for org_id, record_id, order in sorted(
            (one.org_id, one.record_id, one.order) for one in read if one.is_absent
        )
    }
    if not newest:
        return frozenset()
    rows = newest.values()
    buried = await connection.fetch(_BURY, *map(list, zip(*rows, strict=True)))
    ends = sorted(
        (row["org_id"], row["record_id"], row["captured_at"], row["sequence"], row["capture_id"])
        for row in buried
        if not row["was_gone"]
    )
    if ends:
        columns = map(list, zip(*ends, strict=True))
        await connection.execute(_INSERT_ENDS, *columns, EndKind.DELETED.value)
    return frozenset((org_id, record_id) for org_id, record_id, *_ in ends)


async def read_again(
    connection: Connection, keys: Iterable[ChangeKey]
) -> dict[ChangeKey, ReceivedChange]:
    """Return the states of `keys` that are still what is stored, by their keys.

    A snapshot has no row in the history. Once its record has changed, the change is judged instead.
    """
    wanted = sorted(key for key in set(keys) if is_reading(key[1]))
    if not wanted:
        return {}
    rows = await connection.fetch(
        _READ_AGAIN,
        [org_id for *_, org_id in wanted],
        [record_id for _, _, record_id, _ in wanted],
        [capture_id for _, capture_id, _, _ in wanted],
    )
    states = [
        ReceivedChange(
            captured_at=row["captured_at"],
            capture_id=row["capture_id"],
            record_id=row["record_id"],
            org_id=row["org_id"],
            object=SObject(row["object"]),
            operation=Operation.SNAPSHOT,
            sequence=row["sequence"],
            transaction_id=transaction_of(row["captured_at"]),
            actor_id=None,
            callout_id="",
            received_at=row["captured_at"],
            masked=True,
            old=None,
            new=row["fields"].encode(),
        )
        for row in rows
    ]
    return {state.key: state for state in states}
