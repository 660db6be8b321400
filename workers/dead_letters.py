"""Changes that can never succeed: kept whole, with the reason, beside their neighbours' commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

import structlog

from pipeline.errors import PermanentError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.database import Connection
    from workers.received import ReceivedChange

log = structlog.get_logger()

_INSERT: Final = """
    INSERT INTO dead_letter AS stored (org_id, object, operation, capture_id, record_id, reason,
                                       error, original, callout_id, captured_at, received_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                         $7::text[], $8::bytea[], $9::text[], $10::bigint[], $11::bigint[])
    ON CONFLICT (org_id, capture_id, record_id) DO UPDATE
    SET attempts = stored.attempts + 1, reason = excluded.reason, error = excluded.error,
        dead_at = now(), state = 'open'"""

_MAX_ERROR_CHARS: Final = 2000


class DeadLetter(NamedTuple):
    """A change and why it can never succeed."""

    change: ReceivedChange
    reason: Reason
    error: str

    @classmethod
    def of(cls, change: ReceivedChange, error: Exception) -> Self:
        """Make a dead letter of the error that was left when the change stood alone."""
        reason = error.reason if isinstance(error, PermanentError) else Reason.REFUSED_BY_DATABASE
        return cls(change, reason, storable(f"{error}"))


def storable(text: str) -> str:
    """Return the beginning of a text as a column takes it: NUL and half surrogates escaped."""
    text = text.replace("\x00", "\\u0000")[:_MAX_ERROR_CHARS]
    return text.encode("utf-8", "backslashreplace").decode()


class TooManyDeadLetters(Exception):
    """So many changes in a row failed, from several orgs, that this code is the likelier cause.

    The consumer stops, with nothing of the batch committed, rather than empty its queues into
    the table of dead letters after a bad deploy.
    """


class Streak:
    """Counts dead letters in a row, and the orgs that they come from."""

    LIMIT: Final = 200

    def __init__(self) -> None:
        self._length = 0
        self._org_ids: set[str] = set()

    def check(self, dead: Sequence[DeadLetter], *, change_count: int) -> None:
        """Look at a batch that is about to be committed; counts nothing.

        Raises:
            TooManyDeadLetters: the streak would be over its limit and not one org's own doing.
        """
        if not dead or len(dead) < change_count:
            return
        length = self._length + len(dead)
        org_ids = self._org_ids.union(letter.change.org_id for letter in dead)
        if length > self.LIMIT and len(org_ids) > 1:
            raise TooManyDeadLetters(
                f"{length} changes in a row of {len(org_ids)} orgs cannot be processed;"
                f" the last: {dead[-1].reason}"
            )

    def count(self, dead: Sequence[DeadLetter], *, change_count: int) -> None:
        """Count a batch that was committed. One without any change says nothing."""
        if len(dead) < change_count:
            self._length = 0
            self._org_ids.clear()
            return
        self._length += len(dead)
        self._org_ids.update(letter.change.org_id for letter in dead)


async def insert(connection: Connection, letters: Iterable[DeadLetter]) -> None:
    """Keep dead letters; one that is there already has its attempts counted."""
    # Of changes that differ in their time alone, which one upsert cannot take, the last is kept.
    by_key = {
        (dead.change.org_id, dead.change.capture_id, dead.change.record_id): dead
        for dead in letters
    }
    rows = [by_key[key] for key in sorted(by_key)]
    if not rows:
        return
    await connection.execute(
        _INSERT,
        [row.change.org_id for row in rows],
        [row.change.object.value for row in rows],
        [row.change.operation.value for row in rows],
        [row.change.capture_id for row in rows],
        [row.change.record_id for row in rows],
        [row.reason.value for row in rows],
        [row.error for row in rows],
        [row.change.as_callout() for row in rows],
        [row.change.callout_id for row in rows],
        [row.change.captured_at for row in rows],
        [row.change.received_at for row in rows],
    )
    for row in rows:
        log.warning(
            "dead_letter",
            org_id=row.change.org_id,
            callout_id=row.change.callout_id,
            capture_id=row.change.capture_id,
            record_id=row.change.record_id,
            reason=row.reason,
        )
