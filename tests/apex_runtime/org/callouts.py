"""Callouts over real HTTP, under the platform's rules, with faults that tests inject.

Source: Apex Developer Guide, apex_callouts_timeouts, apex_callouts_remote_site_settings; Apex
Reference, apex_classes_restful_http_httprequest.
"""

from __future__ import annotations

import gzip
import http.client
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.values import ApexObject, throw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.platform import HttpExchange

API_VERSION: Final = "65.0"
_TOTAL_MS: Final = 120_000
_BODY_BYTES: Final = {False: 6_000_000, True: 12_000_000}
_DEFAULT_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer (`platform.HttpAnswer`)."""

    status_code: int
    status: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Callout:
    """A callout that was made, for tests to look at; `status_code` is None where none came back.

    `body` is as Apex gave it, before compression.
    """

    endpoint: str
    method: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int
    status_code: int | None


@dataclass(frozen=True)
class Fault:
    """What happens to the next callout.

    `before` runs first (another transaction, say). With an `answer` the server is never called;
    otherwise it is, and `drop_answer` loses what it said. `delay_ms` of virtual time pass.
    """

    drop_answer: bool = False
    delay_ms: int = 0
    answer: Answer | None = None
    before: Callable[[], None] | None = None


@dataclass
class Network:
    """What the org may reach, where that really is, and what goes wrong on the way."""

    remote_sites: list[str]
    routes: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    made: list[Callout] = field(default_factory=list)

    def allows(self, endpoint: str) -> bool:
        """Tell whether an active remote site covers an endpoint: same scheme, host and port."""
        return any(_origin(site) == _origin(endpoint) for site in self.remote_sites)

    def address(self, endpoint: str) -> tuple[str, int, str]:
        """Return host, port and path to really call."""
        real = self.routes.get(_origin(endpoint))
        if real is None:
            raise NotModelled(f"no route to {endpoint}: tell the org with org.route()")
        target, asked = urlsplit(real), urlsplit(endpoint)
        query = f"?{asked.query}" if asked.query else ""
        return target.hostname or "", target.port or 80, f"{asked.path or '/'}{query}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


class Callouts:
    """The callouts of one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._spent_ms = 0

    def send(self, exchange: HttpExchange) -> Answer | ApexObject:
        """Make a callout; see `Platform.send`."""
        self._refuse_where_forbidden(exchange)
        self._tx.limits.spend("Callouts")
        test = self._tx.test
        if test is not None:
            return test.respond(self._tx, exchange)
        network = self._tx.org.network
        if not network.allows(exchange.endpoint):
            throw(
                "CalloutException",
                "Unauthorized endpoint, please check Setup->Security->Remote site settings. "
                f"endpoint = {exchange.endpoint}",
            )
        fault = network.faults.pop(0) if network.faults else Fault()
        if fault.before is not None:
            fault.before()
        at_ms = self._tx.now_ms()
        answer: Answer | None = None
        try:
            answer = self._timed(exchange, fault)
        finally:
            status_code = None if answer is None else answer.status_code
            network.made.append(
                Callout(
                    exchange.endpoint,
                    exchange.method,
                    dict(exchange.headers),
                    exchange.body,
                    at_ms,
                    status_code,
                )
            )
        return answer

    def _refuse_where_forbidden(self, exchange: HttpExchange) -> None:
        """Refuse what the transaction may not do, or not any more."""
        if self._tx.triggers.running or self._tx.context_kind is Context.EVENT:
            throw("CalloutException", "Callout from triggers are currently not supported.")
        if self._tx.context_kind is Context.SCHEDULED:
            throw("CalloutException", "Callout from scheduled Apex not supported.")
        job = self._tx.job
        if (
            self._tx.context_kind is Context.QUEUEABLE
            and job is not None
            and job.instance is not None
            and not job.instance.cls.is_a("Database.AllowsCallouts")
        ):
            throw("CalloutException", f"Callout not allowed from this queueable: {job.class_name}")
        if self._tx.uncommitted:
            throw(
                "CalloutException",
                "You have uncommitted work pending. Please commit or rollback before calling out",
            )
        most = _BODY_BYTES[self._tx.limits.most("HeapSize") > _BODY_BYTES[False]]
        if len(exchange.body) > most:
            throw("CalloutException", f"Exceeded max size limit of {most}")
        if exchange.body and exchange.method in ("GET", "HEAD"):
            raise NotModelled(f"{exchange.method} with a body")

    def _timed(self, exchange: HttpExchange, fault: Fault) -> Answer:
        """Call within the request's timeout and the 120 s of all callouts together."""
        left_ms = _TOTAL_MS - self._spent_ms
        if left_ms <= 0:
            throw(
                "CalloutException", f"Exceeded maximum time allotted for callout ({_TOTAL_MS} ms)"
            )
        timeout_ms = min(exchange.timeout_ms, left_ms)
        begun = time.monotonic()
        answer: Answer | None = None
        failure = "Read timed out"
        try:
            answer = fault.answer or self._exchange(exchange, timeout_ms / 1000)
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            failure = "Connection refused"
        except (ConnectionError, http.client.HTTPException) as ended:
            failure = f"Unexpected end of file from server: {ended!r}"
        took_ms = round((time.monotonic() - begun) * 1000) + fault.delay_ms
        if fault.drop_answer or took_ms > timeout_ms:
            answer, took_ms = None, timeout_ms
        self._pass(took_ms)
        if answer is None:
            throw("CalloutException", failure)
        return answer

    def _pass(self, ms: int) -> None:
        """Let a callout's time pass."""
        self._spent_ms += ms
        self._tx.org.clock.advance(ms)

    def _exchange(self, exchange: HttpExchange, timeout_s: float) -> Answer:
        """Speak HTTP/1.1 with the real server."""
        headers = {
            "User-Agent": f"SFDC-Callout/{API_VERSION}",
            "SFDC_STACK_DEPTH": "1",
            **({"Content-Type": _DEFAULT_TYPE} if exchange.body else {}),
        }
        for name, value in exchange.headers.items():
            known = next((each for each in headers if each.lower() == name.lower()), name)
            headers[known] = value
        body = exchange.body
        if exchange.compressed:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        host, port, path = self._tx.org.network.address(exchange.endpoint)
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            connection.request(exchange.method, path, body or None, headers)
            response = connection.getresponse()
            return Answer(
                response.status, response.reason, dict(response.getheaders()), response.read()
            )
        finally:
            connection.close()
