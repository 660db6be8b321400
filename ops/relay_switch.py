"""Pausing and resuming the relay: all of it, one target, or one sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import WrongUsage
from ops.times import with_iso_times
from rules.mistakes import near_name
from workers.relay.targets.kinds import TargetKind

if TYPE_CHECKING:
    from pipeline.database import Connection

EVERYTHING: Final = "all"
_BY_OPERATOR: Final = "paused by an operator"

_STOP: Final = """
    INSERT INTO relay_stop (target, reason) VALUES ($1, $2)
    ON CONFLICT (target) DO UPDATE SET reason = excluded.reason"""
_RESUME: Final = "DELETE FROM relay_stop WHERE target = $1 RETURNING target"
_PAUSE_SEQUENCE: Final = """
    INSERT INTO sequence (org_id, sequence, paused) VALUES ($1, $2, true)
    ON CONFLICT (org_id, sequence) DO UPDATE SET paused = true"""
_RESUME_SEQUENCE: Final = """
    UPDATE sequence SET paused = false WHERE org_id = $1 AND sequence = $2 AND paused
    RETURNING sequence"""
_STOPS: Final = "SELECT target, reason, stopped_at FROM relay_stop ORDER BY target"
_PAUSED: Final = "SELECT org_id, sequence FROM sequence WHERE paused ORDER BY org_id, sequence"
_KNOWN: Final = """
    SELECT sequence FROM sequence WHERE org_id = $1 AND source IS NOT NULL
    UNION SELECT DISTINCT sequence FROM enrollment WHERE org_id = $1"""
# The database that was lost may have had these told: an exit after one is told as well, even if the
# add needs no telling any more. One that is wrongly taken for told costs an exit that changes
# nothing.
_TAKE_FOR_TOLD: Final = """
    UPDATE outbox SET unanswered = true
    WHERE kind = 'add' AND NOT unanswered
      AND (state IN ('open', 'held') OR state = 'superseded' AND EXISTS (
          SELECT FROM outbox AS leaving
          WHERE (leaving.enrollment_id, leaving.generation)
              = (outbox.enrollment_id, outbox.generation)
            AND leaving.kind = 'exit' AND leaving.state = 'open'))"""


class Stop(msgspec.Struct, frozen=True):
    """A target that the relay sends nothing to; `all` is every one. `stopped_at` is RFC 3339."""

    target: str
    reason: str
    stopped_at: str


class PausedSequence(msgspec.Struct, frozen=True):
    """A sequence whose rows wait."""

    org_id: str
    sequence: str


class Paused(msgspec.Struct, frozen=True):
    """All that the relay does not do."""

    stops: list[Stop]
    sequences: list[PausedSequence]


async def paused(connection: Connection) -> Paused:
    """Return what is paused."""
    stops = await connection.fetch(_STOPS)
    sequences = await connection.fetch(_PAUSED)
    return Paused(
        [Stop(**with_iso_times(row)) for row in stops],
        [PausedSequence(**dict(row)) for row in sequences],
    )


async def pause_target(connection: Connection, target: str) -> None:
    """Send a target (`webhook`, `mixmax`, the URL of a rule's webhook, or `all`) nothing more.

    Raises:
        WrongUsage: it is no target.
    """
    await connection.execute(_STOP, _checked(target), _BY_OPERATOR)


async def resume_target(connection: Connection, target: str) -> bool:
    """Send a target again what it has to be told; tell whether it had been stopped.

    Raises:
        WrongUsage: it is no target.
    """
    return await connection.fetchval(_RESUME, _checked(target)) is not None


async def resume_restored(connection: Connection) -> bool:
    """Resume everything on a database that was restored; tell whether it had been stopped.

    To be called once what the database lacked was replayed. Rows that wait may have been told
    before the loss: under the same keys they count once, and exits are not left out for them.
    """
    async with connection.transaction():
        await connection.execute(_TAKE_FOR_TOLD)
        return await resume_target(connection, EVERYTHING)


async def pause_sequence(connection: Connection, org_id: str, sequence: str) -> str | None:
    """Keep back what is to be told of a sequence's recipients.

    Returns a doubt in words if nobody was ever in such a sequence, else None.
    """
    known = {row["sequence"] for row in await connection.fetch(_KNOWN, org_id)}
    await connection.execute(_PAUSE_SEQUENCE, org_id, sequence)
    if sequence in known:
        return None
    return f"nobody has been in sequence {sequence!r} yet{near_name(sequence, known)}"


async def resume_sequence(connection: Connection, org_id: str, sequence: str) -> bool:
    """Tell of a sequence's recipients again; tell whether it had been paused."""
    return await connection.fetchval(_RESUME_SEQUENCE, org_id, sequence) is not None


def _checked(target: str) -> str:
    named = {EVERYTHING, TargetKind.WEBHOOK.value, TargetKind.MIXMAX.value}
    if target in named or target.startswith(("http://", "https://")):
        return target
    raise WrongUsage(
        f"{target!r} is no target: webhook, mixmax or the URL of a rule's webhook"
        f"{near_name(target, named)}"
    )
