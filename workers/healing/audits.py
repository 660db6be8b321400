"""Audits, brought to their end by sweeps: what differs is asked for, too much absent stops one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
import structlog

from pipeline import metrics
from pipeline.objects import SObject
from pipeline.requests import AuditOpenError, StartedBy, begin_audit, loading

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

log = structlog.get_logger()

# Of an object's stored records, how many may be absent before an operator has to look. In a small
# object a few deletions are no sign of a fault.
MAX_ABSENT_SHARE: Final = 0.01
MAX_ABSENT_COUNT: Final = 10
_IDS_PER_REQUEST: Final = 200
# Resends of one org that are open at once: a large difference is asked for bit by bit.
_MAX_OPEN_RESENDS: Final = 20
_SCHEDULES_PER_PAGE: Final = 10
# After that time without a word, what was acknowledged and did not come will not come.
_GIVE_UP_S: Final = 900.0

_CLAIM_SCHEDULES: Final = """
    SELECT org_id, conditions::text FROM audit_schedule AS due JOIN org USING (org_id)
    WHERE next_at <= now() ORDER BY next_at LIMIT $1 FOR NO KEY UPDATE OF due SKIP LOCKED"""
_MOVE_SCHEDULE: Final = """
    UPDATE audit_schedule SET next_at = now() + make_interval(days => every_days)
    WHERE org_id = $1"""
_POSTPONE_SCHEDULE: Final = """
    UPDATE audit_schedule SET next_at = now() + interval '1 hour' WHERE org_id = $1"""
_CLAIM_AUDITS: Final = """
    SELECT audit_id, org_id FROM audit WHERE state <> 'done'
    ORDER BY audit_id FOR NO KEY UPDATE SKIP LOCKED"""
# The ranges reach from end to end when each begins where one before it ended, or earlier.
_READ_OBJECTS: Final = """
    SELECT object, state, absent_allowed, stored_count,
           (SELECT min(after_id) = '' AND max(to_id) = '~' AND bool_and(after_id <= reached)
            FROM (SELECT after_id, to_id, coalesce(max(to_id) OVER (
                      ORDER BY after_id, to_id
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '') AS reached
                  FROM audit_range
                  WHERE (audit_range.audit_id, audit_range.object)
                      = (audit_object.audit_id, audit_object.object)) AS ranges
           ) AS is_whole,
           (SELECT count(*) FROM audit_finding
            WHERE (audit_finding.audit_id, audit_finding.object)
                = (audit_object.audit_id, audit_object.object)
              AND kind = 'extra') AS extra_count
    FROM audit_object WHERE audit_id = $1 AND state <> 'done' ORDER BY object FOR NO KEY UPDATE"""
_SET_OBJECT: Final = "UPDATE audit_object SET state = $3 WHERE audit_id = $1 AND object = $2"
# All its ranges are there: the org, which has yet to say so, is asked for them no more.
_SETTLE_WALK: Final = """
    UPDATE request SET state = 'done', settled_at = clock_timestamp()
    WHERE audit_id = $1 AND object = $2 AND kind = 'audit' AND state = 'open'"""
# What came of itself meanwhile is not asked for. Looked at are those that would be asked for next.
_HEAL_CAUGHT_UP: Final = """
    WITH next AS (
        SELECT record_id FROM audit_finding
        WHERE audit_id = $1 AND object = $2 AND request_id IS NULL AND healed_at IS NULL
        ORDER BY record_id LIMIT $4)
    UPDATE audit_finding SET healed_at = clock_timestamp()
    FROM next JOIN record ON (record.org_id, record.record_id) = ($3, next.record_id)
    WHERE audit_finding.audit_id = $1 AND audit_finding.record_id = next.record_id
      AND CASE audit_finding.kind
              WHEN 'extra' THEN record.deleted OR record.captured_at > audit_finding.stored_at
              ELSE record.captured_at >= modstamp
                   AND (NOT record.deleted OR record.captured_at > coalesce(stored_at, 0))
          END"""
_COUNT_OPEN: Final = """
    SELECT count(*) FROM request WHERE org_id = $1 AND kind = 'resend' AND state = 'open'"""
_ASK: Final = """
    WITH unasked AS (
        SELECT record_id FROM audit_finding
        WHERE audit_id = $1 AND object = $2 AND request_id IS NULL AND healed_at IS NULL
          AND (kind <> 'extra' OR $4)
        ORDER BY record_id LIMIT $5),
    asked AS (
        INSERT INTO request (org_id, kind, object, record_ids, audit_id, cause, total_count)
        SELECT $3, 'resend', $2, array_agg(record_id ORDER BY record_id), $1, 'audit', count(*)
        FROM unasked HAVING count(*) > 0
        RETURNING request_id)
    UPDATE audit_finding SET request_id = asked.request_id FROM asked, unasked
    WHERE audit_id = $1 AND audit_finding.record_id = unasked.record_id
    RETURNING true"""
_IS_HEALED: Final = """
    SELECT NOT EXISTS (
        SELECT FROM audit_finding LEFT JOIN request USING (request_id)
        WHERE audit_finding.audit_id = $1 AND audit_finding.object = $2 AND healed_at IS NULL
          AND (request.state IS NULL OR request.state = 'open'
               OR request.settled_at > now() - make_interval(secs => $3)))"""
_COUNT_AUDITS: Final = """
    SELECT state, count(*) FROM audit WHERE state <> 'done' GROUP BY state"""
_SETTLE: Final = """
    UPDATE audit
    SET state = told.state,
        settled_at = CASE WHEN told.state = 'done' THEN clock_timestamp() END
    FROM (SELECT CASE WHEN bool_and(state = 'done') THEN 'done'
                      WHEN bool_or(state = 'stopped') THEN 'stopped'
                      ELSE 'running' END AS state
          FROM audit_object WHERE audit_id = $1) AS told
    WHERE audit.audit_id = $1 AND audit.state <> told.state
    RETURNING told.state"""


class Audits:
    """Begins audits that are due and brings those under way to their end."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self) -> bool:
        """Do what can be done now; tell whether there is more at once, which there never is."""
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    for row in await connection.fetch(_CLAIM_SCHEDULES, _SCHEDULES_PER_PAGE):
                        await _begin(connection, row)
            finally:
                async with connection.transaction():
                    for row in await connection.fetch(_CLAIM_AUDITS):
                        await _go_on(connection, row["audit_id"], row["org_id"])
            rows = await connection.fetch(_COUNT_AUDITS)
        counts = {row["state"]: row["count"] for row in rows}
        for state in ("running", "stopped"):
            metrics.audits_open.labels(state).set(counts.get(state, 0))
        return False


async def _begin(connection: Connection, row: asyncpg.Record) -> None:
    """Begin an audit that is due. What fails for one org is told, and holds up no other."""
    org_id = row["org_id"]
    synced = set(_synced(row["conditions"])) - await loading(connection, org_id)
    if not synced:
        log.info("audit_postponed", org_id=org_id, reason="its objects are being loaded")
        await connection.execute(_POSTPONE_SCHEDULE, org_id)
        return
    try:
        async with connection.transaction():
            audit_id = await begin_audit(connection, org_id, synced, StartedBy.SCHEDULE)
    except AuditOpenError:
        # The one that is under way will do.
        log.warning("audit_still_open", org_id=org_id)
    except asyncpg.PostgresError as error:
        log.warning("audit_not_begun", org_id=org_id, exc_info=error)
        await connection.execute(_POSTPONE_SCHEDULE, org_id)
        return
    else:
        log.info("audit_began", org_id=org_id, audit_id=audit_id)
    await connection.execute(_MOVE_SCHEDULE, org_id)


async def _go_on(connection: Connection, audit_id: int, org_id: str) -> None:
    for row in await connection.fetch(_READ_OBJECTS, audit_id):
        sobject = SObject(row["object"])
        state = _next_state(row)
        if state != "comparing":
            await connection.execute(_SETTLE_WALK, audit_id, sobject)
        room = _MAX_OPEN_RESENDS - await connection.fetchval(_COUNT_OPEN, org_id)
        if state != "stopped" and room > 0:
            next_count = room * _IDS_PER_REQUEST
            await connection.execute(_HEAL_CAUGHT_UP, audit_id, sobject, org_id, next_count)
            absent_too = state == "healing"
            await _ask(connection, audit_id, org_id, sobject, absent_too=absent_too, room=room)
        if state == "healing" and await connection.fetchval(
            _IS_HEALED, audit_id, sobject, _GIVE_UP_S
        ):
            state = "done"
        if state != row["state"]:
            await connection.execute(_SET_OBJECT, audit_id, sobject, state)
            log.info("audit_object", state=state, org_id=org_id, audit_id=audit_id, object=sobject)
    settled = await connection.fetchval(_SETTLE, audit_id)
    if settled is not None:
        log.info("audit", state=settled, org_id=org_id, audit_id=audit_id)


def _next_state(row: asyncpg.Record) -> str:
    match row["state"]:
        case "comparing" if not row["is_whole"]:
            return "comparing"
        case "comparing" | "stopped":
            bound = max(MAX_ABSENT_COUNT, row["stored_count"] * MAX_ABSENT_SHARE)
            too_many = row["extra_count"] > bound and not row["absent_allowed"]
            return "stopped" if too_many else "healing"
        case _:
            return "healing"


async def _ask(  # noqa: PLR0913  what is asked of whom
    connection: Connection,
    audit_id: int,
    org_id: str,
    sobject: SObject,
    *,
    absent_too: bool,
    room: int,
) -> None:
    for _ in range(room):
        if not await connection.fetch(
            _ASK, audit_id, sobject, org_id, absent_too, _IDS_PER_REQUEST
        ):
            return


def _synced(conditions: str) -> list[SObject]:
    """Return the objects that the org sends: all while its conditions name none."""
    named = [SObject(name) for name in msgspec.json.decode(conditions)]
    return named or list(SObject)
