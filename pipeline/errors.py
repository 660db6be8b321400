"""Errors typed by what happens next, and the one place that decides it.

| kind      | what happens next                                             |
|-----------|---------------------------------------------------------------|
| transient | hold the work and try again; never dead-lettered              |
| permanent | this change becomes a dead letter with a reason code          |
| poison    | the message cannot be decoded: the broker's dead queue has it |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import asyncpg


class Reason(StrEnum):
    """Why a change or a message is a dead letter. Operators filter by it, so the set is closed."""

    INVALID_RECORD = "invalid_record"
    OUT_OF_WINDOW = "out_of_window"
    REFUSED_BY_DATABASE = "refused_by_database"
    RULE_FAILED = "rule_failed"
    CRASHED_WORKER = "crashed_worker"
    # Whole messages that the broker set aside.
    UNDECODABLE = "undecodable"
    DELIVERY_LIMIT = "delivery_limit"


class Kind(StrEnum):
    """What happens next with the work that an error interrupted."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    POISON = "poison"


class TransientError(Exception):
    """Something that passes by itself: hold the work and try again."""


class PermanentError(Exception):
    """One change that can never succeed: it becomes a dead letter with `reason`."""

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


class PoisonError(Exception):
    """A message whose bytes cannot be decoded at all."""


class BrokerUnavailable(TransientError):
    """RabbitMQ is away, blocked, full or too slow. A copy may have been stored all the same."""


# SQLSTATE classes that blame the row: data exception, and integrity violation other than a
# missing partition (23514), which an operator mends.
DATA_EXCEPTION: Final = "22"
_INTEGRITY_VIOLATION: Final = "23"
_CHECK_VIOLATION: Final = "23514"


def classify(error: BaseException) -> Kind:
    """Decide what happens next. Whatever is not known to be a change's own fault holds.

    Source: PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
    """
    if isinstance(error, PoisonError):
        return Kind.POISON
    if isinstance(error, PermanentError):
        return Kind.PERMANENT
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = str(error.sqlstate)
        blames_row = sqlstate.startswith((DATA_EXCEPTION, _INTEGRITY_VIOLATION))
        return Kind.PERMANENT if blames_row and sqlstate != _CHECK_VIOLATION else Kind.TRANSIENT
    return Kind.TRANSIENT


# SQLSTATE classes that blame the statement or who sends it: feature not supported, cardinality
# violation, syntax error or access rule violation.
_BLAMES_STATEMENT: Final = ("0A", "21", "42")


def blames_statement(error: BaseException) -> bool:
    """Tell whether PostgreSQL refuses a statement as such: the same one is refused again.

    A worker holds all the same, lest changes become dead letters for our own mistake. Where a
    person waits for the end, it is better told at once. A plan that a migration made void under
    its connection is no fault of the statement's: the next try plans anew.
    """
    return (
        isinstance(error, asyncpg.PostgresError)
        and str(error.sqlstate).startswith(_BLAMES_STATEMENT)
        and not isinstance(error, asyncpg.InvalidCachedStatementError)
    )


class RetryReason(StrEnum):
    """Why something is tried again. A metric's label, so the set is closed."""

    DATABASE_AWAY = "database_away"
    ROWS_LOCKED = "rows_locked"
    DATABASE_REFUSES = "database_refuses"
    TARGET_HELD = "target_held"
    OTHER = "other"


# SQLSTATE classes of a server that is not there: connection exception, insufficient resources,
# operator intervention; and of transactions that met: rollback, lock not available.
_AWAY: Final = ("08", "53", "57")
_LOCKED: Final = ("40", "55P03")


def retry_reason(error: BaseException | None) -> RetryReason:
    """Return why a transient error has something tried again."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = str(error.sqlstate)
        if sqlstate.startswith(_AWAY):
            return RetryReason.DATABASE_AWAY
        if sqlstate.startswith(_LOCKED):
            return RetryReason.ROWS_LOCKED
        return RetryReason.DATABASE_REFUSES
    if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError):
        return RetryReason.DATABASE_AWAY
    return RetryReason.OTHER
