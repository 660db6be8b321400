from __future__ import annotations

import ssl

import aiohttp
import asyncpg
import msgspec
import pytest
from aiormq.exceptions import AMQPConnectionError, DeliveryError
from pamqp.commands import Basic
from yarl import URL

from pipeline.errors import BrokerUnavailable, PermanentError, PoisonError, Reason
from pipeline.redaction import redacted, redacted_traceback

VALUE = "ada-canary@example.com"


def of_postgres(sqlstate: str, message: str, **fields: str) -> BaseException:
    """Return what asyncpg makes of a server's error."""
    codes = {"S": "ERROR", "C": sqlstate, "M": message, **fields}
    error: BaseException = asyncpg.PostgresError.new(codes)
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            of_postgres("23505", "duplicate key violates “x”", D=f"Key (recipient)=({VALUE})"),
            "UniqueViolationError: duplicate key violates “x”",
        ),
        (
            of_postgres("23514", "no partition of relation “x” found", D=f"Failing row ({VALUE})"),
            "CheckViolationError: no partition of relation “x” found",
        ),
        (
            of_postgres("22P02", f'invalid input syntax for type json: "{VALUE}"'),
            "InvalidTextRepresentationError: SQLSTATE 22P02",
        ),
        (asyncpg.exceptions.DataError(f"invalid input for query argument $1: {VALUE!r}"), None),
        (asyncpg.InterfaceError("connection is closed"), "InterfaceError: connection is closed"),
        (KeyError(VALUE), "KeyError"),
        (ValueError(f"could not convert string to float: {VALUE!r}"), "ValueError"),
        (UnicodeEncodeError("utf-8", VALUE, 0, 1, "surrogates"), "UnicodeEncodeError"),
        (aiohttp.InvalidURL(URL(f"http://example.com/?key={VALUE}")), "InvalidURL"),
        (PermanentError(Reason.INVALID_RECORD, VALUE), "PermanentError: invalid_record"),
        (
            PoisonError(f"callout 1: Invalid enum value '{VALUE}' - at `$.object`"),
            "PoisonError: callout 1: Invalid enum value - at `$.object`",
        ),
        (
            msgspec.ValidationError(f"Invalid enum value '{VALUE}'"),
            "ValidationError: Invalid enum value",
        ),
        (DeliveryError(None, Basic.Nack()), None),
        (
            AMQPConnectionError(111, ConnectionRefusedError(111, "refused")),
            "AMQPConnectionError: 111, ConnectionRefusedError: 111, refused",
        ),
        (BrokerUnavailable("no confirm in time"), "BrokerUnavailable: no confirm in time"),
        (ssl.SSLCertVerificationError(1, "expired"), "SSLCertVerificationError: 1, expired"),
        (TimeoutError(), "TimeoutError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_is_told_without_the_values_that_it_quotes(
    error: BaseException, told: str | None
) -> None:
    assert VALUE not in redacted(error)
    assert told is None or redacted(error) == told


def test_a_traceback_names_every_cause_and_quotes_none() -> None:
    def fail() -> None:
        try:
            {"": ""}[VALUE]
        except KeyError as error:
            group = ExceptionGroup("not every service drained", [ValueError(VALUE)])
            raise group from error

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    raised.value.__context__ = raised.value  # A ring ends.
    raised.value.add_note(VALUE)
    told = redacted_traceback(raised.value)
    assert VALUE not in told
    for part in (
        "[VALUE]",
        "direct cause",
        "ExceptionGroup: not every",
        "ValueError",
    ):
        assert part in told
