from __future__ import annotations

import asyncpg
import pytest
from aio_pika.exceptions import AMQPConnectionError, ChannelInvalidStateError

from pipeline.errors import (
    BrokerUnavailable,
    Kind,
    PermanentError,
    PoisonError,
    Reason,
    RetryReason,
    TransientError,
    blames_statement,
    classify,
    retry_reason,
)

# PostgreSQL documentation, appendix A: every class of SQLSTATE, but for 00 to 02, which are none
# of an error. What blames one row is permanent; whatever else may pass, or be mended.
BLAME_THE_ROW = ["22", "23"]
HOLD = [
    "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "24", "25", "26", "27",
    "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55",
    "57", "58", "72", "F0", "HV", "P0", "XX",
]  # fmt: skip


def of_sqlstate(sqlstate: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "made up", "S": "ERROR"})


@pytest.mark.parametrize("sqlstate_class", BLAME_THE_ROW)
def test_an_error_that_blames_the_row_is_permanent(sqlstate_class: str) -> None:
    assert classify(of_sqlstate(f"{sqlstate_class}000")) is Kind.PERMANENT


@pytest.mark.parametrize("sqlstate_class", HOLD)
def test_every_other_class_of_database_error_holds(sqlstate_class: str) -> None:
    assert classify(of_sqlstate(f"{sqlstate_class}000")) is Kind.TRANSIENT


@pytest.mark.parametrize("sqlstate_class", [*BLAME_THE_ROW, *HOLD])
def test_a_statement_is_blamed_by_the_classes_that_no_waiting_mends(sqlstate_class: str) -> None:
    error = of_sqlstate(f"{sqlstate_class}000")
    assert blames_statement(error) == (sqlstate_class in {"0A", "21", "42"})


def test_a_statement_whose_plan_a_migration_made_void_is_not_blamed() -> None:
    void = asyncpg.InvalidCachedStatementError("cached plan must not change result type")
    assert void.sqlstate == "0A000"
    assert not blames_statement(void)
    assert classify(void) is Kind.TRANSIENT


def test_no_class_that_the_driver_knows_is_forgotten() -> None:
    known = {
        error.sqlstate[:2]
        for error in vars(asyncpg.exceptions).values()
        if isinstance(error, type)
        and issubclass(error, asyncpg.PostgresError)
        and error.sqlstate is not None
    }
    # Of 01 and 02, "warning" and "no data", the driver makes warnings.
    assert known - {"01", "02"} <= {*BLAME_THE_ROW, *HOLD}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.NumericValueOutOfRangeError("22003"), Kind.PERMANENT),
        (asyncpg.CharacterNotInRepertoireError("22021"), Kind.PERMANENT),
        (asyncpg.UntranslatableCharacterError("22P05"), Kind.PERMANENT),
        (asyncpg.NotNullViolationError("23502"), Kind.PERMANENT),
        (asyncpg.UniqueViolationError("23505"), Kind.PERMANENT),
        # A partition is missing, which an operator mends.
        (asyncpg.CheckViolationError("23514"), Kind.TRANSIENT),
        (asyncpg.CardinalityViolationError("21000"), Kind.TRANSIENT),
        (asyncpg.ReadOnlySQLTransactionError("25006"), Kind.TRANSIENT),
        (asyncpg.DeadlockDetectedError("40P01"), Kind.TRANSIENT),
        (asyncpg.UndefinedTableError("42P01"), Kind.TRANSIENT),
        (asyncpg.DiskFullError("53100"), Kind.TRANSIENT),
        (asyncpg.AdminShutdownError("57P01"), Kind.TRANSIENT),
        (asyncpg.InternalServerError("XX000"), Kind.TRANSIENT),
        (asyncpg.PostgresError("no SQLSTATE at all"), Kind.TRANSIENT),
        (asyncpg.DataError("an argument that its column cannot take"), Kind.PERMANENT),
        (asyncpg.InterfaceError("the connection is closed"), Kind.TRANSIENT),
        (PermanentError(Reason.INVALID_RECORD, "no"), Kind.PERMANENT),
        (PoisonError("no"), Kind.POISON),
        (TransientError("wait"), Kind.TRANSIENT),
        (BrokerUnavailable("wait"), Kind.TRANSIENT),
        (ConnectionRefusedError(), Kind.TRANSIENT),
        (TimeoutError(), Kind.TRANSIENT),
        (AMQPConnectionError(), Kind.TRANSIENT),
        (ChannelInvalidStateError(), Kind.TRANSIENT),
        (ValueError("of nobody knows where"), Kind.TRANSIENT),
        (MemoryError(), Kind.TRANSIENT),
    ],
    ids=repr,
)
def test_each_error_has_one_consequence(error: Exception, kind: Kind) -> None:
    assert classify(error) is kind


def test_a_permanent_error_says_why() -> None:
    error = PermanentError(Reason.OUT_OF_WINDOW, "captured in 1970")
    assert (error.reason, str(error)) == (Reason.OUT_OF_WINDOW, "captured in 1970")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (of_sqlstate("57P01"), RetryReason.DATABASE_AWAY),
        (of_sqlstate("53300"), RetryReason.DATABASE_AWAY),
        (ConnectionRefusedError(), RetryReason.DATABASE_AWAY),
        (TimeoutError(), RetryReason.DATABASE_AWAY),
        (of_sqlstate("40P01"), RetryReason.ROWS_LOCKED),
        (of_sqlstate("55P03"), RetryReason.ROWS_LOCKED),
        (of_sqlstate("23514"), RetryReason.DATABASE_REFUSES),
        (TransientError("wait"), RetryReason.OTHER),
        (None, RetryReason.OTHER),
    ],
    ids=repr,
)
def test_what_is_tried_again_says_why(error: Exception | None, reason: RetryReason) -> None:
    assert retry_reason(error) is reason
