"""What each rule made of a change: by its firing where it fired, else by asking it again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from ops.explanation.asking import Asking
from ops.explanation.conditions import Clause, Condition, kept_conditions
from ops.explanation.replayed import Replayed, replayed_by
from ops.times import iso, with_iso_times

if TYPE_CHECKING:
    from asyncpg import Record

    from ops.explanation.asking import Asked
    from pipeline.database import Connection

# The versions that were active when a worker handled the change.
_READ_RULES: Final = """
    SELECT rule, version, source FROM rule_span AS span JOIN rule USING (org_id, rule, version)
    WHERE org_id = $1 AND object = $2
      AND active_from <= $3 AND (active_until IS NULL OR active_until > $3)
    UNION
    SELECT rule, version, source FROM rule
    WHERE org_id = $1 AND (rule, version) IN (SELECT * FROM unnest($4::text[], $5::integer[]))
    ORDER BY rule, version"""
_READ_FIRINGS: Final = """
    SELECT firing_id, rule, rule_version, capture_id, captured_at, cause_record_id, evidence,
           fired_at, run_id
    FROM firing WHERE org_id = $1 AND transaction_id = $2 AND record_id = $3 ORDER BY rule"""
_READ_WAITS: Final = """
    SELECT rule, state, parents, error, waiting_since, expires_at FROM waiting
    WHERE org_id = $1 AND record_id = $2 AND captured_at = $3 AND capture_id = $4
      AND cause_record_id IS NULL"""
_READ_EFFECTS: Final = """
    SELECT event.kind, event.sequence, event.recipient,
           enrollment.enrollment_id, enrollment.state
    FROM enrollment_event AS event
    LEFT JOIN enrollment USING (org_id, sequence, recipient)
    WHERE event.firing_id = $1 ORDER BY event.action"""
_READ_CALLS: Final = """
    SELECT target AS url, state, attempts, last_error, due_at, settled_at FROM outbox
    WHERE kind = 'call' AND org_id = $1 AND rule = $2 AND recipient = $3 AND firing_id = $4
    ORDER BY outbox_id"""


class Outcome(StrEnum):
    """What became of a rule and a change."""

    FIRED = "fired"
    # A transaction fires a rule on a record once: by the first of its changes that matches.
    FIRED_BY_ANOTHER_CHANGE = "fired_by_another_change"
    OTHER_OPERATION = "other_operation"
    SYNC_USER = "sync_user"
    TOO_OLD = "too_old"
    WAITING = "waiting"
    WAITED_IN_VAIN = "waited_in_vain"
    NOT_MATCHED = "not_matched"
    # It would match as everything stands today; it did not then.
    MATCHES_TODAY = "matches_today"
    # It cannot be asked again: the record or the rule is beyond this version, or a parent is gone.
    UNKNOWN = "unknown"


class Wait(msgspec.Struct, frozen=True):
    """A wait for a lookup's record; times are RFC 3339."""

    rule: str
    state: str
    parents: list[str]
    error: str | None
    waiting_since: str
    expires_at: str


class Effect(msgspec.Struct, frozen=True):
    """An add to a sequence or an exit from it, and how the enrolment stands today."""

    kind: str
    sequence: str
    recipient: str
    enrollment_id: int | None
    state: str | None


class CallRow(msgspec.Struct, frozen=True):
    """A call of the rule's own webhook; times are RFC 3339."""

    url: str
    state: str
    attempts: int
    last_error: str | None
    due_at: str
    settled_at: str | None


class Considered(msgspec.Struct, frozen=True):
    """One rule and what it made of the change.

    `why` says it in words. `conditions`, of a rule that fired, are those that decided, as they were
    kept; `clauses` are all conditions of one that did not, with what they see today in other
    records. `fired_at` is RFC 3339.
    """

    rule: str
    version: int
    outcome: Outcome
    why: str
    fired_at: str | None = None
    conditions: list[Condition] = []
    clauses: list[Clause] = []
    wait: Wait | None = None
    replay: Replayed | None = None
    effects: list[Effect] = []
    calls: list[CallRow] = []


async def consider(connection: Connection, row: Record) -> list[Considered]:
    """Return what each rule of the object made of a change, given as its row of the history.

    The row has the org's `sync_user_id` and `time_zone` besides.
    """
    key = (row["org_id"], row["record_id"], row["captured_at"], row["capture_id"])
    firings = {
        one["rule"]: one
        for one in await connection.fetch(
            _READ_FIRINGS, row["org_id"], row["transaction_id"], row["record_id"]
        )
    }
    own = [one for one in firings.values() if _is_of(one, row)]
    rules = await connection.fetch(
        _READ_RULES,
        row["org_id"],
        row["object"],
        row["persisted_at"],
        [one["rule"] for one in own],
        [one["rule_version"] for one in own],
    )
    waits = {
        one["rule"]: Wait(**with_iso_times(one))
        for one in await connection.fetch(_READ_WAITS, *key)
    }
    asking = Asking(connection, row)
    considered: list[Considered] = []
    for rule in rules:
        firing = firings.get(rule["rule"])
        if firing is None or not _is_of(firing, row):
            asked = await asking.ask(rule["rule"], rule["version"], rule["source"])
            wait = waits.get(rule["rule"])
            considered.append(_not_fired(row, rule, asked, wait, firing))
        # The version that decided speaks, should the span of another one have ended a moment later.
        elif firing["rule_version"] == rule["version"]:
            considered.append(await _fired(connection, row, firing))
    return considered


def _is_of(firing: Record, row: Record) -> bool:
    """Tell whether a firing is this very change's."""
    return (
        firing["cause_record_id"] is None
        and firing["capture_id"] == row["capture_id"]
        and firing["captured_at"] == row["captured_at"]
    )


async def _fired(connection: Connection, row: Record, firing: Record) -> Considered:
    effects = await connection.fetch(_READ_EFFECTS, firing["firing_id"])
    calls = await connection.fetch(
        _READ_CALLS, row["org_id"], firing["rule"], row["record_id"], firing["firing_id"]
    )
    return Considered(
        rule=firing["rule"],
        version=firing["rule_version"],
        outcome=Outcome.FIRED,
        why="every condition held",
        fired_at=iso(firing["fired_at"]),
        conditions=kept_conditions(firing["evidence"]),
        replay=await replayed_by(connection, firing["run_id"]),
        effects=[Effect(*one) for one in effects],
        calls=[CallRow(**with_iso_times(one)) for one in calls],
    )


def _not_fired(
    row: Record, rule: Record, asked: Asked, wait: Wait | None, firing: Record | None
) -> Considered:
    outcome, why = _outcome(row, asked, wait, firing)
    return Considered(
        rule=rule["rule"],
        version=rule["version"],
        outcome=outcome,
        why=why,
        clauses=asked.clauses,
        wait=wait,
    )


def _outcome(  # noqa: PLR0911  one for each way in which a rule does not fire
    row: Record, asked: Asked, wait: Wait | None, firing: Record | None
) -> tuple[Outcome, str]:
    if asked.trouble is not None:
        return Outcome.UNKNOWN, asked.trouble
    if not asked.listens:
        return Outcome.OTHER_OPERATION, f"it is not on: {row['operation']}"
    if asked.passes_sync_user and row["actor_id"] == row["sync_user_id"]:
        return Outcome.SYNC_USER, "the Sync User made the change"
    if wait is not None:
        return _waited(wait)
    if asked.verdict is False:
        return Outcome.NOT_MATCHED, "a condition did not hold"
    age_ms = row["received_at"] - row["captured_at"]
    if age_ms > asked.max_age_ms:
        age_s, max_age_s = age_ms // 1000, asked.max_age_ms // 1000
        return Outcome.TOO_OLD, f"{age_s:,} s old on arrival, beyond its max_age of {max_age_s:,} s"
    if firing is not None:
        cause = firing["cause_record_id"]
        by = f"capture {firing['capture_id']}" + (f" of {cause}" if cause else "")
        return (
            Outcome.FIRED_BY_ANOTHER_CHANGE,
            f"it fired on this record in the same transaction already, by {by}",
        )
    if asked.verdict is None:
        return Outcome.UNKNOWN, "a record that it looks up is not synced"
    return (
        Outcome.MATCHES_TODAY,
        "every condition holds by what other records say today; when it was asked, one did not",
    )


def _waited(wait: Wait) -> tuple[Outcome, str]:
    parents = ", ".join(wait.parents)
    match wait.state:
        case "waiting":
            return (
                Outcome.WAITING,
                f"it waits for {parents} since {wait.waiting_since}, until {wait.expires_at}",
            )
        case "failed":
            return Outcome.WAITED_IN_VAIN, f"its wait for {parents} failed: {wait.error}"
        case _:
            return Outcome.WAITED_IN_VAIN, f"it waited for {parents} until {wait.expires_at}"
