"""Structured logs: JSON in production, colour on a terminal; never a secret or a record value.

An error is given to a log line as it is. What it says is chosen here, in `pipeline.redaction`.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from aiohttp.http import HttpProcessingError

from pipeline.redaction import redacted, redacted_traceback

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, ExcInfo, Processor

    from pipeline.settings import Log

_encoder: Final = msgspec.json.Encoder(enc_hook=repr)


def configure(log: Log, *, process: str) -> None:
    """Send every log line of this process, libraries' lines included, to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    on_terminal = log.format == "console" or (log.format == "auto" and sys.stderr.isatty())
    renderer: list[Processor] = [
        _redact_errors,
        structlog.processors.ExceptionRenderer(_traceback),
        # Not the richer traceback: it shows local variables, and so secrets and records.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if on_terminal
        else structlog.processors.JSONRenderer(serializer=_as_json),
    ]
    level = logging.getLevelNamesMapping()[log.level.upper()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)

    # Libraries speak up from warning on; what they say takes the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    handler.addFilter(_is_ours_to_tell)
    handler.addFilter(_without_values)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    # What nobody caught would be printed whole.
    sys.excepthook = _tell_uncaught


def _is_ours_to_tell(record: logging.LogRecord) -> bool:
    """Leave out what a stranger may have said: of a request that is no HTTP, aiohttp quotes all."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _without_values(record: logging.LogRecord) -> bool:
    """Leave out of a library's line what may quote a value: errors, messages, failed tasks."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_plain, record.args))
    if record.exc_info and isinstance(record.msg, str):
        # What follows in asyncio's is the task with the words of its error.
        record.msg = record.msg.partition("\n")[0]
    return True


def _plain(told: object) -> object:
    if isinstance(told, BaseException):
        return redacted(told)
    return told if isinstance(told, str | int | float | None) else type(told).__name__


def _redact_errors(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {
        key: redacted(value) if isinstance(value, BaseException) and key != "exc_info" else value
        for key, value in event.items()
    }


def _traceback(exc_info: ExcInfo) -> str:
    return redacted_traceback(exc_info[1])


def _tell_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        structlog.get_logger().critical("process_failed", exc_info=error)


def _as_json(event: Any, **_: object) -> str:  # noqa: ANN401  whatever is logged
    try:
        return _encoder.encode(event).decode()
    except (ValueError, TypeError, OverflowError):
        # Half a surrogate pair, a key that is no text, a number beyond 64 bits.
        return json.dumps(event, default=repr)
