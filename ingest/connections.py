"""The connections that callouts come in on: how many there may be, and how slow one may be.

aiohttp bounds what a head may hold, how long a connection rests and how many requests wait on one.
It bounds neither their number nor the time that a head takes, nor that of an answer nobody reads.
"""

from __future__ import annotations

import asyncio
import http
import math
import time
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Final, assert_never, cast

import structlog
from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

from ingest.open_files import allow_open_files
from ingest.problems import Problem, render, render_last, unavailable
from pipeline import metrics
from pipeline.admin import cannot_listen
from pipeline.lifecycle import wait_or_stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader

    from pipeline.settings import Ingest

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger()

# Salesforce sends ten and proxies add a few; with 8 KB each, a head is at most 400 KB.
_MAX_HEADERS_COUNT: Final = 48
# Past the longest wait for a body: for the broker or the database, and the answer to leave.
_ANSWER_S: Final = 30.0
_LOOK_EVERY_S: Final = 1.0
# One that has said nothing for so long makes room for a new one.
_PATIENCE_S: Final = 1.0
# Above the bound so many more are told so, at once; those above these are cut.
_TURNED_AWAY_SHARE: Final = 4
_TURN_AWAY_S: Final = 2.0
# What the process has open besides: broker, database, metrics, logs.
_OTHER_FILES: Final = 128
_BACKLOG: Final = 1024


class _Stage(Enum):
    """What a connection is at; it lingers while the body comes of what is answered already."""

    HEAD = auto()
    REQUEST = auto()
    REST = auto()
    LINGER = auto()


class Connection(web.RequestHandler):
    """One connection, which knows since when it has been at what it does."""

    __slots__ = ("_all", "_body", "since", "stage")

    def __init__(self, connections: Connections, server: web.Server, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._all = connections
        self._body = EMPTY_PAYLOAD
        self.enter(_Stage.HEAD)

    def enter(self, stage: _Stage) -> None:
        """Note what it does from now on."""
        self.stage = stage
        self.since = time.monotonic()

    def leave(self, body: StreamReader) -> None:
        """Note that a request is answered, all of whose body may not be here yet."""
        self._body = body
        self.enter(_Stage.LINGER)
        self.look_again()

    def look_again(self) -> None:
        """Note that it rests, once all of the body is here."""
        if self.stage is _Stage.LINGER and self._body.is_eof():
            self._body = EMPTY_PAYLOAD
            self.enter(_Stage.REST)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._all.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        self._all.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came: after a rest, a head begins with it."""
        self.look_again()
        if self.stage is _Stage.REST:
            self.enter(_Stage.HEAD)
        super().data_received(data)
        # aiohttp goes on to read, and to keep, what comes after a head that cannot be read.
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self.close()

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Tell of a head that cannot be read by what it is, not with its bytes."""
        error = kwargs.get("exc_info")
        if isinstance(error, HttpProcessingError):
            log.info("head_refused", error=type(error).__name__)
            # It holds all that was read, in a ring that only the garbage collector would end.
            error.__traceback__ = None
        else:
            super().log_exception(*args, **kwargs)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp refuses in the form of every refusal; its own words quote the head.

        Raises:
            ConnectionError: an answer was begun already.
        """
        super().handle_error(request, status, exc, message)
        response = render(Problem(http.HTTPStatus(status), "not a request that can be read"))
        response.force_close()
        return response

    @property
    def is_unread(self) -> bool:
        """Whether an answer waits for its reader."""
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def cut(self) -> None:
        """End it, whatever is still to be sent."""
        self._all.open.discard(self)
        if self.transport is not None:
            self.transport.abort()


class Connections:
    """All connections that are open."""

    def __init__(self, settings: Ingest) -> None:
        self._settings = settings
        self._turned_away: set[TurnedAway] = set()
        self.open: set[Connection] = set()
        metrics.connections.set_function(lambda: len(self.open))

    async def listen(self, runner: web.AppRunner) -> asyncio.Server:
        """Serve what `runner` runs; return what can be closed.

        Raises:
            SettingsError: nobody can listen there, or so many files may not be open.
        """
        host, port, most = self._settings.host, self._settings.port, self._settings.max_connections
        allow_open_files(most + self._most_turned_away + _OTHER_FILES)
        await runner.setup()
        protocol = partial(self.protocol, cast("web.Server", runner.server))
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(protocol, host, port, backlog=_BACKLOG)
        except OSError as error:
            await runner.cleanup()
            raise cannot_listen(host, port, error) from error

    def protocol(self, server: web.Server) -> asyncio.Protocol:
        """Return what serves a new connection."""
        if len(self.open) >= self._settings.max_connections and not self._evict():
            metrics.connections_ended.labels("full").inc()
            return TurnedAway(self._turned_away, self._most_turned_away)
        return Connection(
            self,
            server,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._settings.idle_timeout_s,
            max_headers=_MAX_HEADERS_COUNT,
        )

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note when a request is under way."""
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await handler(request)
        connection.enter(_Stage.REQUEST)
        try:
            return await handler(request)
        finally:
            connection.leave(request.content)

    async def run(self, stop: asyncio.Event) -> None:
        """Cut what is too slow until `stop`."""
        while not await wait_or_stop(stop, _LOOK_EVERY_S):
            self.cut_slow()

    def cut_slow(self) -> None:
        """Cut what has been at a head, a request or its answer for too long."""
        now = time.monotonic()
        for connection in list(self.open):
            connection.look_again()
            if now - connection.since > self._longest_s(connection):
                log.info("connection_cut", stage=connection.stage.name.lower())
                metrics.connections_ended.labels("slow").inc()
                connection.cut()

    def _longest_s(self, connection: Connection) -> float:
        match connection.stage:
            case _Stage.HEAD:
                return self._settings.head_timeout_s
            case _Stage.REQUEST:
                return self._settings.body_timeout_s + _ANSWER_S
            case _Stage.LINGER:
                return _ANSWER_S
            case _Stage.REST:
                # aiohttp ends one that rests for too long, but not while it cannot be answered.
                return self._settings.head_timeout_s if connection.is_unread else math.inf
            case unknown:
                assert_never(unknown)

    @property
    def _most_turned_away(self) -> int:
        return self._settings.max_connections // _TURNED_AWAY_SHARE + 1

    def _evict(self) -> bool:
        """End the connection that has been silent the longest, if one has been for long enough."""
        silent = [one for one in self.open if one.stage is not _Stage.REQUEST]
        oldest = min(silent, key=lambda one: one.since, default=None)
        if oldest is None or time.monotonic() - oldest.since < _PATIENCE_S:
            return False
        metrics.connections_ended.labels("evicted").inc()
        oldest.cut()
        return True


class TurnedAway(asyncio.Protocol):
    """A connection above the bound: it is told so, and given a moment to hear it."""

    def __init__(self, others: set[TurnedAway], most: int) -> None:
        self._others = others
        self._most = most
        self._told = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for what it wants, since an answer is lost if what was sent is not read."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._others) >= self._most:
            self._transport.abort()
            return
        self._others.add(self)
        asyncio.get_running_loop().call_later(_TURN_AWAY_S, self._transport.abort)

    def data_received(self, _: bytes) -> None:
        """Tell it to come again."""
        if self._transport is not None and not self._told:
            self._told = True
            self._transport.write(render_last(unavailable("too many connections are open")))
            self._transport.write_eof()

    def connection_lost(self, _: BaseException | None) -> None:
        """Forget it."""
        self._others.discard(self)
