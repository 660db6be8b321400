"""A rule's own webhooks: an outbox row each, and the guard against rules that call themselves."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import structlog

from pipeline import json_text, metrics
from rules import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.database import Connection
    from workers.enrollments.fired import Fired

log = structlog.get_logger()

# A webhook whose receiver changes the record may fire its rule again, and so on for ever. People
# do not change one record so often; beyond it, a rule's calls for the record are stopped.
MAX_CALLS_PER_RECORD_AND_HOUR: Final = 20
_STOPPED: Final = (
    f"stopped: the rule called more than {MAX_CALLS_PER_RECORD_AND_HOUR} times within an hour for"
    " this record; does its webhook change the record?"
)

# Leave calls; return those that were stopped. Stopped ones do not count, so that a record that
# comes to rest is called for again. A firing that moved to an earlier change brings that change's
# values while the call is untried.
_INSERT_CALLS: Final = """
    WITH due AS (
        SELECT *, row_number() OVER (PARTITION BY org_id, rule, recipient ORDER BY place) AS nth
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                    $7::integer[], $8::jsonb[]) WITH ORDINALITY
            AS told (org_id, rule, recipient, target, idempotency_key, firing_id, action, payload,
                     place)
    ), judged AS (
        SELECT *, nth + (
            SELECT count(*) FROM outbox AS earlier
            WHERE earlier.kind = 'call' AND earlier.org_id = due.org_id
              AND earlier.rule = due.rule AND earlier.recipient = due.recipient
              AND earlier.created_at > now() - interval '1 hour'
              AND NOT (earlier.state = 'failed' AND earlier.attempts = 0)) > $9 AS is_stopped
        FROM due
    ), written AS (
        INSERT INTO outbox (kind, org_id, rule, recipient, target, idempotency_key, firing_id,
                            action, payload, state, last_error, settled_at)
        SELECT 'call', org_id, rule, recipient, target, idempotency_key, firing_id, action, payload,
               CASE WHEN is_stopped THEN 'failed' ELSE 'open' END,
               CASE WHEN is_stopped THEN $10 END, CASE WHEN is_stopped THEN now() END
        FROM judged ORDER BY place
        ON CONFLICT (idempotency_key) DO UPDATE
        SET target = excluded.target, payload = excluded.payload
        WHERE outbox.state = 'open' AND outbox.attempts = 0
        RETURNING org_id, rule, recipient, state)
    SELECT org_id, rule, recipient AS record_id, count(*) AS call_count
    FROM written WHERE state = 'failed' GROUP BY org_id, rule, recipient"""


async def call(connection: Connection, counted: Mapping[int, Fired]) -> None:
    """Write the outbox rows of the calls that firings make."""
    rows = [
        (
            one.change.org_id,
            one.match.rule,
            one.change.record_id,
            effect.url,
            _idempotency_key(one, action),
            firing_id,
            action,
            json_text.encode_masked(
                {
                    "rule": one.match.rule,
                    "version": one.match.version,
                    "object": one.change.object.value,
                    "record_id": one.change.record_id,
                    "capture_id": one.change.capture_id,
                    "captured_at": one.change.captured_at,
                    "fields": effect.fields,
                }
            ),
        )
        for firing_id, one in sorted(counted.items(), key=lambda item: item[1].key)
        for action, effect in enumerate(one.match.actions)
        if isinstance(effect, Call)
    ]
    if not rows:
        return
    stopped = await connection.fetch(
        _INSERT_CALLS,
        *map(list, zip(*rows, strict=True)),
        MAX_CALLS_PER_RECORD_AND_HOUR,
        _STOPPED,
    )
    for row in stopped:
        log.warning("calls_stopped", **row)
        metrics.calls_stopped.inc(row["call_count"])


def _idempotency_key(one: Fired, action: int) -> str:
    text = "\x00".join((*one.key, str(action)))
    return "call_" + hashlib.sha256(text.encode()).hexdigest()[:40]
