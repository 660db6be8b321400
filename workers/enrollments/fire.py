"""Firings and their effects: a constant number of statements for a whole batch of matches."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from pipeline import json_text, metrics
from rules import ReEnroll
from workers.enrollments import sql
from workers.enrollments.fold import Event, Folded, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.database import Connection
    from rules import Evidence, Match
    from workers.received import ReceivedChange

    # (org, sequence, recipient) and (org, transaction, record, rule).
    EnrollmentKey = tuple[str, str, str]
    FiringKey = tuple[str, str, str, str]

TARGET: Final = "webhook"


class Fired(NamedTuple):
    """A rule that matched a change."""

    change: ReceivedChange
    match: Match

    @property
    def key(self) -> FiringKey:
        """What makes a firing the same: a transaction fires a rule on a record once."""
        return (
            self.change.org_id,
            self.change.transaction_id,
            self.change.record_id,
            self.match.rule,
        )


class _Standing(NamedTuple):
    """What the fold decides of an enrolment."""

    generation: int
    firing_id: int | None
    variables: str

    @classmethod
    def of(cls, folded: Folded | None) -> Self:
        """Return how an enrolment stands by its fold; without any add it stands at nothing."""
        if folded is None:
            return cls(0, None, "{}")
        return cls(folded.generation, folded.event.firing_id, folded.event.variables)


async def fire(connection: Connection, fired: Iterable[Fired]) -> None:
    """Write firings and bring the enrolments that they touch, and the outbox, up to date."""
    earliest: dict[FiringKey, Fired] = {}
    for one in fired:
        stands = earliest.get(one.key)
        if stands is None or one.change.order < stands.change.order:
            earliest[one.key] = one
    if not earliest:
        return
    # Rows are locked in the order of their key: batches that overlap cannot deadlock.
    counted, touched = await _write_firings(connection, [earliest[key] for key in sorted(earliest)])
    touched |= await _write_events(connection, counted)
    if touched:
        await _fold_enrollments(connection, sorted(touched))
    metrics.firings.inc(len(counted))


async def _write_firings(
    connection: Connection, fired: Sequence[Fired]
) -> tuple[dict[int, Fired], set[EnrollmentKey]]:
    """Return the firings that count, by id, and the enrolments that lost an event by it.

    A firing that stands already counts unless this one's change comes before its change.
    """
    rows = await connection.fetch(
        sql.WRITE_FIRINGS,
        [one.change.org_id for one in fired],
        [one.change.transaction_id for one in fired],
        [one.change.record_id for one in fired],
        [one.match.rule for one in fired],
        [one.match.version for one in fired],
        [one.change.object.value for one in fired],
        [one.change.captured_at for one in fired],
        [one.change.sequence for one in fired],
        [one.change.capture_id for one in fired],
        [_encode(one.match.evidence) for one in fired],
    )
    by_key = {one.key: one for one in fired}
    counted = {
        row["firing_id"]: by_key[
            (row["org_id"], row["transaction_id"], row["record_id"], row["rule"])
        ]
        for row in rows
    }
    replaced = [row["firing_id"] for row in rows if row["replaced"]]
    if not replaced:
        return counted, set()
    lost = await connection.fetch(sql.DELETE_EVENTS, replaced)
    return counted, {(row["org_id"], row["sequence"], row["recipient"]) for row in lost}


async def _write_events(connection: Connection, counted: Mapping[int, Fired]) -> set[EnrollmentKey]:
    """Write an event for each recipient that a firing adds; return the enrolments touched."""
    rows = [
        (
            firing_id,
            action,
            one.change.org_id,
            enroll.sequence,
            enroll.recipient,
            enroll.re_enroll.value,
            json_text.encode_masked(enroll.variables),
        )
        for firing_id, one in sorted(counted.items())
        for action, enroll in enumerate(one.match.actions)
        if enroll.recipient is not None
    ]
    if rows:
        await connection.execute(sql.INSERT_EVENTS, *map(list, zip(*rows, strict=True)))
    return {(org_id, sequence, recipient) for _, _, org_id, sequence, recipient, _, _ in rows}


async def _fold_enrollments(connection: Connection, keys: Sequence[EnrollmentKey]) -> None:
    """Lock the enrolments, fold all that was ever kept of them, write what differs."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    locked = await connection.fetch(sql.LOCK_ENROLLMENTS, *columns)
    events: defaultdict[EnrollmentKey, list[Event]] = defaultdict(list)
    for row in await connection.fetch(sql.READ_EVENTS, *columns):
        events[row["org_id"], row["enrolled_in"], row["recipient"]].append(
            Event(
                captured_at=row["captured_at"],
                sequence=row["sequence"],
                capture_id=row["capture_id"],
                rule=row["rule"],
                action=row["action"],
                record_id=row["record_id"],
                firing_id=row["firing_id"],
                re_enroll=ReEnroll(row["re_enroll"]),
                variables=row["variables"],
            )
        )
    updates: list[tuple[int, int, int | None, str, str]] = []
    tells: list[tuple[int, int, str, str]] = []
    for row in locked:
        key = (row["org_id"], row["sequence"], row["recipient"])
        enrollment_id: int = row["enrollment_id"]
        stood = _Standing(row["generation"], row["firing_id"], row["variables"])
        stands = _Standing.of(fold(events[key]))
        # A firing that moved to an earlier change keeps its id, but brings other variables.
        if stands != stood:
            updates.append((enrollment_id, *stands, idempotency_key(key, stands.generation)))
        tells += [
            (enrollment_id, told, key[2], idempotency_key(key, told))
            for told in range(stood.generation + 1, stands.generation + 1)
        ]
    if updates:
        await connection.execute(sql.UPDATE_ENROLLMENTS, *map(list, zip(*updates, strict=True)))
    if tells:
        await connection.execute(sql.INSERT_OUTBOX, *map(list, zip(*tells, strict=True)), TARGET)


def _encode(evidence: tuple[Evidence, ...]) -> str:
    return json_text.encode_masked(msgspec.to_builtins(evidence, builtin_types=(Decimal,)))


def idempotency_key(key: EnrollmentKey, generation: int) -> str:
    """Return the key by which a target tells a repeated delivery from a new one."""
    text = "\x00".join((*key, str(generation)))
    return "enr_" + hashlib.sha256(text.encode()).hexdigest()[:40]
