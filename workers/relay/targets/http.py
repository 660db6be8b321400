"""What all targets that speak HTTP have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp

from pipeline import metrics
from workers.relay.guard import AddressRefused
from workers.relay.targets.answers import Held

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.relay.targets.kinds import TargetKind

MAX_RETRY_AFTER_S: Final = 3600.0

# Statuses that blame the request itself. All others may pass: a target that is down, or one
# that an operator has configured wrongly for now.
REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
# Statuses that speak of one sequence, or of one URL's path: the target itself is well.
_OF_ONE_ROW: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
# What aiohttp raises when there is no answer.
UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError)


def count_answer(kind: TargetKind, status: int | None) -> None:
    """Count an answer by the hundred of its status; None: none came."""
    metrics.target_answers.labels(kind, "none" if status is None else f"{status // 100}xx").inc()


def is_success(status: int) -> bool:
    """Tell whether the target did what it was asked."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def held(response: aiohttp.ClientResponse) -> Held:
    """Return what an answer means that neither takes nor refuses. A server's error is no word."""
    is_known = (
        response.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and response.status != HTTPStatus.REQUEST_TIMEOUT
    )
    error = f"the target answered {response.status}"
    pause_s = retry_after_s(response.headers, datetime.now(UTC))
    return Held(error, pause_s, is_known, blames_row=response.status in _OF_ONE_ROW)


def unreachable(error: BaseException) -> Held:
    """Return what it means that there is no answer. Says nothing of the URL."""
    if is_refused_address(error):
        told = f"the target cannot be reached: {AddressRefused()}"
        return Held(f"{told} (PENSTOCK_RELAY__ALLOW_NETWORKS)", is_known=True)
    return Held(f"the target cannot be reached: {type(error).__name__}")


def is_refused_address(error: BaseException) -> bool:
    """Tell whether it was the relay itself that did not want to connect there."""
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, AddressRefused
    )


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the pause that an answer asks for, in seconds or by a date; an hour at most.

    Source: RFC 9110, section 10.2.3.
    """
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        # So many digits are past the most in any case, and Python refuses to read thousands.
        return min(float(asked[:9]), MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        # No date, or one in a year or a zone that nobody lives to see.
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
