"""`Http`, `HttpRequest`, `HttpResponse`. [apex_classes_restful_http]"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap
from tests.apex_runtime.errors import throw
from tests.apex_runtime.library.encoding import to_bytes
from tests.apex_runtime.library.registry import (
    InSession,
    define,
    getter,
    platform_object,
    setter,
)
from tests.apex_runtime.objects import ApexObject
from tests.apex_runtime.types import STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

_DEFAULT_TIMEOUT_MS = 10_000
_MOST_TIMEOUT_MS = 120_000


@dataclass(slots=True)
class Exchange:
    """A callout (`platform.HttpExchange`)."""

    endpoint: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    compressed: bool
    timeout_ms: int
    request: ApexObject


def _headers() -> ApexMap:
    return ApexMap(STRING, STRING)


def _request() -> ApexObject:
    return platform_object(
        "HttpRequest",
        endpoint=None,
        method=None,
        headers=_headers(),
        body=b"",
        compressed=False,
        timeout=_DEFAULT_TIMEOUT_MS,
    )


def _response() -> ApexObject:
    return platform_object("HttpResponse", status=None, statusCode=0, headers=_headers(), body=b"")


def _set_header(this: ApexObject, name: str, value: str) -> None:
    """Set a header: names are kept as given, a name in other case replaces."""
    headers: Any = this.fields["headers"]
    for key in list(headers):
        if key.casefold() == name.casefold():
            headers.remove(key)
    headers.put(name, value)


def _header(this: ApexObject, name: str) -> Value:
    headers: Any = this.fields["headers"]
    return next(
        (value for key, value in headers.items() if key.casefold() == name.casefold()), None
    )


def _header_keys(this: ApexObject) -> ApexList:
    headers: Any = this.fields["headers"]
    return ApexList(STRING, headers)


def _set_body(this: ApexObject, text: str) -> None:
    this.fields["body"] = to_bytes(text)


def _body(this: ApexObject) -> str:
    body: Any = this.fields["body"]
    return str(body.decode("utf-8", "replace"))


def _set_timeout(this: ApexObject, ms: int) -> None:
    if not 1 <= ms <= _MOST_TIMEOUT_MS:
        throw("CalloutException", f"Invalid timeout: {ms}")
    this.fields["timeout"] = ms


def _send(session: Session, _this: ApexObject, request: ApexObject | None) -> ApexObject:
    """Make a callout; the transaction's rules are the platform's."""
    if request is None:
        throw("NullPointerException", "Argument cannot be null.")
    fields: Any = request.fields
    if not fields["endpoint"] or not fields["method"]:
        throw("CalloutException", "Invalid request: endpoint and method are required")
    answer = session.platform.send(
        Exchange(
            fields["endpoint"],
            fields["method"],
            dict(fields["headers"].items()),
            fields["body"],
            fields["compressed"],
            fields["timeout"],
            request,
        )
    )
    if isinstance(answer, ApexObject):
        return answer
    response = _response()
    response.fields.update(status=answer.status, statusCode=answer.status_code, body=answer.body)
    for name, value in answer.headers.items():
        _set_header(response, name, value)
    return response


define(
    "HttpRequest",
    constructors={"new() HttpRequest": _request},
    methods={
        "getBody() String": _body,
        "getBodyAsBlob() Blob": getter("body"),
        "getCompressed() Boolean": getter("compressed"),
        "getEndpoint() String": getter("endpoint"),
        "getHeader(String) String": _header,
        "getMethod() String": getter("method"),
        "setBody(String) void": _set_body,
        "setBodyAsBlob(Blob) void": setter("body"),
        "setCompressed(Boolean) void": setter("compressed"),
        "setEndpoint(String) void": setter("endpoint"),
        "setHeader(String,String) void": _set_header,
        "setMethod(String) void": setter("method"),
        "setTimeout(Integer) void": _set_timeout,
    },
)
define(
    "HttpResponse",
    constructors={"new() HttpResponse": _response},
    methods={
        "getBody() String": _body,
        "getBodyAsBlob() Blob": getter("body"),
        "getHeader(String) String": _header,
        "getHeaderKeys() List<String>": _header_keys,
        "getStatus() String": getter("status"),
        "getStatusCode() Integer": getter("statusCode"),
        "setBody(String) void": _set_body,
        "setBodyAsBlob(Blob) void": setter("body"),
        "setHeader(String,String) void": _set_header,
        "setStatus(String) void": setter("status"),
        "setStatusCode(Integer) void": setter("statusCode"),
    },
)
define(
    "Http",
    constructors={"new() Http": lambda: platform_object("Http")},
    methods={"send(HttpRequest) HttpResponse": InSession(_send)},
)
define(
    "HttpCalloutMock",
    is_interface=True,
    methods={"respond(HttpRequest) HttpResponse": getter("abstract")},
)
