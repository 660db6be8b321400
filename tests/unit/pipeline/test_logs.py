from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from typing import TYPE_CHECKING, Literal

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine

from pipeline.logs import configure
from pipeline.settings import Log, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "hunter2"


@pytest.fixture(autouse=True)
def other_logs() -> Iterator[None]:
    """Give the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    sys.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def fail() -> None:
    password = PASSWORD
    raise ValueError(len(password))


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_traceback_shows_no_local_variable(
    format_: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Log(format=format_), process="test")
    for log in (structlog.get_logger(), logging.getLogger("library")):
        try:
            fail()
        except ValueError:
            log.exception("failed")
        told = capsys.readouterr().err
        assert PASSWORD not in told
        assert "Traceback" in told
        assert "raise ValueError(len(password))" in told


def test_a_request_that_is_no_http_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"), process="test")
    for error in (BadHttpMessage(PASSWORD), BadStatusLine(PASSWORD)):
        try:
            raise error
        except BadHttpMessage:
            logging.getLogger("aiohttp.server").exception("Error handling request")
    assert capsys.readouterr().err == ""


def test_a_secret_has_no_form_that_shows_it() -> None:
    secret = Secret(PASSWORD)
    assert PASSWORD not in f"{secret} {secret!r} {secret!s} {[secret]}"


@pytest.mark.parametrize("value", ["half \ud83d", 2**70, {1: object()}, {(1, 2): 3}, Secret("x")])
def test_whatever_is_logged_becomes_one_line_of_json(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Log(format="json"), process="test")
    structlog.get_logger().info("event", value=value)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "event"


async def forget_a_failed_task() -> None:
    async def fail_there() -> None:
        raise KeyError(PASSWORD)

    task = asyncio.create_task(fail_there())
    await asyncio.wait([task])


@pytest.mark.parametrize("format_", ["console", "json"])
def test_no_line_has_the_words_of_an_error_that_may_quote_a_value(
    format_: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Log(format=format_), process="test")
    error = KeyError(PASSWORD)
    structlog.get_logger().warning("holding", error=error)
    structlog.get_logger().error("failed", exc_info=error)
    logging.getLogger("library").error("of %r and %s", error, b"body " + PASSWORD.encode())
    logging.getLogger("library").error("failed", exc_info=error)
    asyncio.run(forget_a_failed_task())
    gc.collect()
    sys.excepthook(KeyError, error, None)
    told = capsys.readouterr().err
    assert PASSWORD not in told
    assert "exception was never retrieved" in told
    assert "process_failed" in told
    assert "KeyError" in told
