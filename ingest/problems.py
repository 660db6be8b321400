"""Answers to what cannot be accepted: RFC 9457 problem documents without secrets or records."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY_AFTER_S: Final = 5
_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """A request that is refused: the status, what is wrong in words, and where in the body."""

    def __init__(
        self,
        status: http.HTTPStatus,
        detail: str,
        *,
        place: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.place = place
        self.retry_after_s = retry_after_s
        # It is told of elsewhere, or was often enough.
        self.is_told = False


def bad_request(detail: str) -> Problem:
    """Refuse a body that is not JSON, not gzip, or too deep."""
    return Problem(http.HTTPStatus.BAD_REQUEST, detail)


def unauthorized(detail: str) -> Problem:
    """Refuse a signature that is missing, wrong, or outside its time."""
    return Problem(http.HTTPStatus.UNAUTHORIZED, detail)


def forbidden(detail: str) -> Problem:
    """Refuse an org that is unknown, paused, not connected, or not the one in the body."""
    return Problem(http.HTTPStatus.FORBIDDEN, detail)


def too_large(limit_bytes: int) -> Problem:
    """Refuse a body over the limit, before or after decompression."""
    return Problem(
        http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {limit_bytes} bytes"
    )


def unprocessable(place: str, problem: str) -> Problem:
    """Refuse JSON that is not the contract."""
    return Problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {problem}", place=place)


def too_many(detail: str, retry_after_s: int = 1) -> Problem:
    """Refuse an org that sends more, or faster, than it may."""
    return Problem(http.HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after_s=retry_after_s)


def unavailable(detail: str) -> Problem:
    """Say that something Penstock stands on is away for now."""
    return Problem(http.HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=RETRY_AFTER_S)


def render(problem: Problem) -> web.Response:
    """Render one problem as `application/problem+json`."""
    headers: Mapping[str, str] = (
        {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    )
    return web.Response(
        status=problem.status.value,
        body=_document(problem),
        content_type=_TYPE,
        headers=headers,
    )


def render_last(problem: Problem) -> bytes:
    """Render one problem as a whole answer, after which the connection ends."""
    body = _document(problem)
    lines = (
        f"HTTP/1.1 {problem.status.value} {problem.status.phrase}",
        f"Content-Type: {_TYPE}",
        f"Content-Length: {len(body)}",
        f"Retry-After: {problem.retry_after_s or 0}",
        "Connection: close",
    )
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def _document(problem: Problem) -> bytes:
    document: dict[str, str | int] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }
    if problem.place is not None:
        document["place"] = problem.place
    return msgspec.json.encode(document)
