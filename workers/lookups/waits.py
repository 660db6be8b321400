"""Rules that wait for a parent: written with the change, judged by a sweep once it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.objects import SObject
from workers.healing.snapshots import read_again
from workers.history import read_history
from workers.lookups.cases import Case, Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import asyncpg

    from pipeline.database import Connection
    from workers.history import ChangeKey
    from workers.lookups.evaluation import Judged

    # A change, and the replay that has it judged again, if one has.
    CaseKey = tuple[ChangeKey, int | None]

# A replay begins the wait anew, once, also where it ended in vain before.
_INSERT: Final = """
    INSERT INTO waiting AS stored (org_id, record_id, captured_at, capture_id, rule, rule_version,
                                   object, cause_record_id, run_id, parents, expires_at)
    SELECT org_id, record_id, captured_at, capture_id, rule, rule_version, object,
           cause_record_id, run_id, string_to_array(parents, ' '),
           clock_timestamp() + make_interval(secs => $11)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::integer[],
                $7::text[], $8::text[], $9::bigint[], $10::text[])
        AS new (org_id, record_id, captured_at, capture_id, rule, rule_version, object,
                cause_record_id, run_id, parents)
    ON CONFLICT (org_id, record_id, captured_at, capture_id, rule) DO UPDATE
    SET run_id = excluded.run_id, rule_version = excluded.rule_version,
        cause_record_id = excluded.cause_record_id, parents = excluded.parents, state = 'waiting',
        attempts = 0, error = NULL, settled_at = NULL, expires_at = excluded.expires_at,
        waiting_since = clock_timestamp()
    WHERE excluded.run_id IS NOT NULL AND stored.run_id IS DISTINCT FROM excluded.run_id"""
# One parent that is there is enough to ask again: which others are wanted may follow from it.
_FIND_DUE: Final = """
    WITH looked_at AS (
        SELECT waiting_id, org_id, parents, expires_at FROM waiting
        WHERE state = 'waiting' AND waiting_id > $1 ORDER BY waiting_id LIMIT $2)
    SELECT count(*) AS looked_at_count, max(waiting_id) AS last_id,
           array_agg(waiting_id ORDER BY waiting_id) FILTER (
               WHERE expires_at <= clock_timestamp() OR EXISTS (
                   SELECT FROM record WHERE record.org_id = looked_at.org_id
                   AND record.record_id = ANY(looked_at.parents))) AS due
    FROM looked_at"""
_CLAIM: Final = """
    SELECT *, expires_at <= clock_timestamp() AS is_expired FROM waiting
    WHERE waiting_id = ANY($1::bigint[]) AND state = 'waiting'
    ORDER BY waiting_id FOR UPDATE SKIP LOCKED"""
_READ_CHILDREN: Final = """
    SELECT found.* FROM unnest($1::text[], $2::text[]) AS wanted (org_id, record_id)
    CROSS JOIN LATERAL (
        SELECT org_id, record_id, object, fields FROM record
        WHERE (record.org_id, record.record_id) = (wanted.org_id, wanted.record_id)
          AND NOT deleted
        LIMIT 1) AS found"""
_DELETE: Final = "DELETE FROM waiting WHERE waiting_id = ANY($1::bigint[])"
_MOVE: Final = """
    UPDATE waiting SET parents = string_to_array(moved.parents, ' ')
    FROM unnest($1::bigint[], $2::text[]) AS moved (waiting_id, parents)
    WHERE waiting.waiting_id = moved.waiting_id"""
_EXPIRE: Final = """
    UPDATE waiting SET state = 'expired', settled_at = clock_timestamp()
    WHERE waiting_id = ANY($1::bigint[])"""
# The attempt that fails for good is the last one.
_FAIL: Final = """
    UPDATE waiting SET attempts = attempts + 1, error = $2,
        state = CASE WHEN attempts + 1 >= $3 THEN 'failed' ELSE state END,
        settled_at = CASE WHEN attempts + 1 >= $3 THEN clock_timestamp() END
    WHERE waiting_id = $1 AND state = 'waiting'
    RETURNING org_id, record_id, rule, state = 'failed' AS is_set_aside"""


class Due(NamedTuple):
    """Rows that can be judged again or have expired, and where the next look begins."""

    waiting_ids: list[int]
    next_from: int


async def keep_waits(connection: Connection, judged: Iterable[Judged], *, wait_s: float) -> None:
    """Write down the rules that wait, in the transaction of the change that they wait with."""
    rows = [
        (
            one.case.change.org_id,
            one.case.change.record_id,
            one.case.change.captured_at,
            one.case.change.capture_id,
            waiting.rule,
            waiting.version,
            one.case.change.object.value,
            one.case.cause.change.record_id if one.case.cause else None,
            one.case.run_id,
            " ".join(sorted(waiting.parents)),
        )
        for one in judged
        for waiting in one.verdicts.waiting
    ]
    # One for each key, in their order.
    ordered = [row for _, row in sorted({row[:5]: row for row in rows}.items())]
    if ordered:
        await connection.execute(_INSERT, *map(list, zip(*ordered, strict=True)), wait_s)


async def find_due(connection: Connection, *, after: int, limit: int) -> Due:
    """Look at up to `limit` rows that wait, of those after the row `after`."""
    row = await connection.fetchrow(_FIND_DUE, after, limit)
    if row is None or row["looked_at_count"] < limit:
        return Due((row["due"] if row else None) or [], 0)
    return Due(row["due"] or [], row["last_id"])


async def claim(connection: Connection, waiting_ids: Sequence[int]) -> list[asyncpg.Record]:
    """Lock those of the rows that still wait and that no other sweep has."""
    return list(await connection.fetch(_CLAIM, waiting_ids))


async def read_cases(
    connection: Connection, rows: Iterable[asyncpg.Record]
) -> Mapping[CaseKey, Case]:
    """Return what the rows wait with, each with all of its rules.

    What the history has lost is not there; nor is a record that was re-evaluated and then deleted.
    """
    rules: dict[CaseKey, set[str]] = {}
    causes: dict[ChangeKey, str] = {}
    for row in rows:
        key = _change_key(row)
        rules.setdefault(key_of(row), set()).add(row["rule"])
        if row["cause_record_id"] is not None:
            causes[key] = row["cause_record_id"]
    cause_keys = {key: (key[0], key[1], causes[key], key[3]) for key in causes}
    keys = sorted({key for key, _ in rules})
    changes = await read_history(connection, [cause_keys.get(key, key) for key in keys])
    changes |= await read_again(connection, keys)
    cases = {
        (key, run_id): Case(changes[key], frozenset(names), None, run_id)
        for (key, run_id), names in rules.items()
        if key not in causes and key in changes
    }
    if causes:
        pairs = sorted({(key[3], key[2]) for key in causes})
        children = {
            (row["org_id"], row["record_id"]): row
            for row in await connection.fetch(
                _READ_CHILDREN, [org_id for org_id, _ in pairs], [record for _, record in pairs]
            )
        }
        for (key, run_id), names in rules.items():
            child = children.get((key[3], key[2]))
            cause_key = cause_keys.get(key)
            if child is not None and cause_key in changes:
                cause = Cause.of(changes[cause_key])
                change = cause.update_of(
                    SObject(child["object"]), child["record_id"], child["fields"].encode()
                )
                cases[key, run_id] = Case(change, frozenset(names), cause, run_id)
    return cases


async def settle(
    connection: Connection, rows: Iterable[asyncpg.Record], judged: Mapping[CaseKey, Judged]
) -> Mapping[str, int]:
    """Write what became of claimed rows; return how many had which outcome.

    A rule that is gone, or has decided, waits no more.
    """
    done: list[int] = []
    moved: list[tuple[int, str]] = []
    expired: list[int] = []
    for row in rows:
        one = judged.get(key_of(row))
        waiting = {} if one is None else {wait.rule: wait for wait in one.verdicts.waiting}
        if one is not None and row["rule"] not in waiting:
            done.append(row["waiting_id"])
        elif one is None or row["is_expired"]:
            expired.append(row["waiting_id"])
        else:
            moved.append((row["waiting_id"], " ".join(sorted(waiting[row["rule"]].parents))))
    if done:
        await connection.execute(_DELETE, done)
    if moved:
        await connection.execute(_MOVE, *map(list, zip(*moved, strict=True)))
    if expired:
        await connection.execute(_EXPIRE, expired)
    return {"decided": len(done), "moved": len(moved), "expired": len(expired)}


async def fail(
    connection: Connection, waiting_id: int, error: str, *, max_attempts: int
) -> asyncpg.Record | None:
    """Count a failure of its own against a row; the last one sets it aside."""
    return await connection.fetchrow(_FAIL, waiting_id, error, max_attempts)


def key_of(row: asyncpg.Record) -> CaseKey:
    """Return the key of the change that a row waits with, and the replay that it is for."""
    return _change_key(row), row["run_id"]


def _change_key(row: asyncpg.Record) -> ChangeKey:
    return (row["captured_at"], row["capture_id"], row["record_id"], row["org_id"])
