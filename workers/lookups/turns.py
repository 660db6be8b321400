"""The statements by which a sweep serves re-evaluations, page by page and row by row in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.objects import SObject
from workers.lookups.climbs import Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from pipeline.database import Connection
    from workers.history import ChangeKey

CHILDREN_PER_PAGE: Final = 500
# Rows that share a page: a thousand parents with a child each are not a thousand transactions.
_ROWS_PER_PAGE: Final = 50
_SEEN_PER_SWEEP: Final = 5000
# A page that fails is tried again with a fifth of the children, until the one at fault is alone.
MAX_ATTEMPTS: Final = 5
_DIVISOR: Final = 5
# How long a row waits for transactions that may have missed its change, before a pass that is
# repeated once they are over.
_PATIENCE_S: Final = 5.0

# Rows that are seen here are committed. Whoever read their parent before that has a transaction id
# already, so that it is below the one that this statement's own transaction draws now. (The end of
# a snapshot would not do: transactions beyond it may be under way.)
_SEE: Final = """
    UPDATE reevaluation SET horizon = pg_current_xact_id(), seen_at = clock_timestamp()
    WHERE reevaluation_id = ANY(ARRAY(
        SELECT reevaluation_id FROM reevaluation WHERE horizon IS NULL
        ORDER BY reevaluation_id LIMIT $1 FOR UPDATE SKIP LOCKED))"""
# Whose turn it is: the one served longest ago, so that a parent with a million children does not
# keep others waiting. None before the references that it follows are all there.
_CLAIM: Final = """
    SELECT turn.*, pg_snapshot_xmin(pg_current_snapshot()) >= horizon AS is_reached,
        EXISTS (SELECT FROM traversal
                WHERE (traversal.org_id, traversal.object, traversal.field)
                    = (turn.org_id, turn.child_object, turn.way[turn.depth])) AS is_traversed
    FROM reevaluation AS turn
    WHERE ($1::bigint IS NULL OR reevaluation_id = $1)
      AND (stage IN ('early', 'final')
           OR stage IN ('new', 'waiting')
              AND pg_snapshot_xmin(pg_current_snapshot()) >= horizon
           OR stage = 'new' AND seen_at < clock_timestamp() - make_interval(secs => $2))
      AND NOT EXISTS (SELECT FROM traversal
                      WHERE (traversal.org_id, traversal.object, traversal.field)
                          = (turn.org_id, turn.child_object, turn.way[turn.depth])
                        AND NOT traversal.ready)
    ORDER BY served_at LIMIT $3 FOR UPDATE SKIP LOCKED"""
_READ_CHILDREN: Final = """
    SELECT reevaluation_id, child_id, child.fields
    FROM unnest($1::bigint[], $2::integer[]) AS page (reevaluation_id, child_count)
    JOIN reevaluation AS turn USING (reevaluation_id)
    CROSS JOIN LATERAL (
        SELECT child_id FROM reference
        WHERE reference.org_id = turn.org_id AND reference.parent_id = turn.parent_id
          AND reference.child_object = turn.child_object AND field = turn.way[turn.depth]
          AND child_id > turn.cursor
        ORDER BY child_id LIMIT child_count) AS children
    LEFT JOIN LATERAL (
        SELECT fields FROM record
        WHERE record.org_id = turn.org_id AND record.record_id = child_id AND NOT deleted
        LIMIT 1) AS child ON true
    ORDER BY reevaluation_id, child_id"""
_MOVE: Final = """
    UPDATE reevaluation AS turn SET cursor = moved.cursor, stage = moved.stage,
        attempts = greatest(attempts - 1, 0), served_at = clock_timestamp()
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS moved (reevaluation_id, cursor, stage)
    WHERE turn.reevaluation_id = moved.reevaluation_id"""
_DELETE: Final = "DELETE FROM reevaluation WHERE reevaluation_id = ANY($1::bigint[])"
_COUNT_FAILURE: Final = """
    UPDATE reevaluation SET attempts = attempts + 1, error = $2, served_at = clock_timestamp()
    WHERE reevaluation_id = $1 RETURNING *"""
_SKIP_CHILD: Final = """
    UPDATE reevaluation SET cursor = $2, attempts = 0, error = NULL WHERE reevaluation_id = $1"""
# A record that failed is a row of its own, of no depth.
_SET_CHILD_ASIDE: Final = """
    INSERT INTO reevaluation (org_id, record_id, captured_at, capture_id, object, way, depth,
                              parent_id, child_object, run_id, rules, stage, attempts, error,
                              horizon, seen_at)
    SELECT org_id, record_id, captured_at, capture_id, object, way, 0,
           $2, child_object, run_id, rules, 'failed', attempts, error, horizon, seen_at
    FROM reevaluation WHERE reevaluation_id = $1
    ON CONFLICT DO NOTHING"""
_SET_ASIDE: Final = """
    UPDATE reevaluation SET stage = 'failed', error = $2 WHERE reevaluation_id = $1"""


class Turn(NamedTuple):
    """A claimed row: whom it is about, how many of its children come now, in which pass."""

    reevaluation_id: int
    row: asyncpg.Record
    way: Way
    child_count: int
    stage: str

    @property
    def cause_key(self) -> ChangeKey:
        """The key of the change that made rules matter again."""
        row = self.row
        return (row["captured_at"], row["capture_id"], row["record_id"], row["org_id"])

    @property
    def depth(self) -> int:
        """How many lookups the records whose rules are asked are below this row's parent."""
        found: int = self.row["depth"]
        return found


class Child(NamedTuple):
    """A record that refers, or did, to a row's parent. `fields` is None if it does not live."""

    record_id: str
    fields: bytes | None


async def see(connection: Connection) -> None:
    """Draw the horizons of rows that have none yet."""
    await connection.execute(_SEE, _SEEN_PER_SWEEP)


async def claim(connection: Connection, only: int | None = None) -> list[Turn]:
    """Lock the rows whose turn it is, or the one row `only`, for this transaction."""
    rows = await connection.fetch(_CLAIM, only, _PATIENCE_S, _ROWS_PER_PAGE)
    return [
        Turn(
            reevaluation_id=row["reevaluation_id"],
            row=row,
            way=Way(SObject(row["object"]), tuple(row["way"])),
            child_count=max(1, CHILDREN_PER_PAGE // len(rows) // _DIVISOR ** row["attempts"]),
            stage=_stage(row),
        )
        for row in rows
    ]


def _stage(row: asyncpg.Record) -> str:
    if row["stage"] in {"early", "final"}:
        return str(row["stage"])
    return "final" if row["is_reached"] else "early"


async def read_children(connection: Connection, turns: Sequence[Turn]) -> dict[int, list[Child]]:
    """Return the next children of each row, in order, by the row's id."""
    found: dict[int, list[Child]] = {turn.reevaluation_id: [] for turn in turns}
    for row in await connection.fetch(
        _READ_CHILDREN,
        [turn.reevaluation_id for turn in turns],
        [turn.child_count for turn in turns],
    ):
        fields = None if row["fields"] is None else row["fields"].encode()
        found[row["reevaluation_id"]].append(Child(row["child_id"], fields))
    return found


async def end(connection: Connection, turns: Iterable[Turn]) -> None:
    """Delete rows that have nothing more to do."""
    if ids := [turn.reevaluation_id for turn in turns]:
        await connection.execute(_DELETE, ids)


async def go_on(connection: Connection, moves: Sequence[tuple[int, str, str]]) -> None:
    """Write (row, cursor, stage) and put the rows at the end of the queue."""
    if moves:
        await connection.execute(_MOVE, *map(list, zip(*moves, strict=True)))


async def set_aside(connection: Connection, turn: Turn, error: str) -> None:
    """Keep a row that can never be served."""
    await connection.execute(_SET_ASIDE, turn.reevaluation_id, error)


async def count_failure(connection: Connection, turn: Turn, error: str) -> str | None:
    """Count a failure of the row's own; return what was set aside for it, if anything was.

    The last attempt is of one child, which is passed over.
    """
    row = await connection.fetchrow(_COUNT_FAILURE, turn.reevaluation_id, error)
    if row is None or row["attempts"] < MAX_ATTEMPTS:
        return None
    children = (await read_children(connection, [turn]))[turn.reevaluation_id]
    if not children:
        await set_aside(connection, turn, error)
        return str(row["parent_id"])
    await connection.execute(_SET_CHILD_ASIDE, turn.reevaluation_id, children[0].record_id)
    await connection.execute(_SKIP_CHILD, turn.reevaluation_id, children[0].record_id)
    return children[0].record_id
