"""The ingest process: wiring, serving, draining."""

from __future__ import annotations

import asyncio
import http
import os
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from ingest.admission import InFlight, OrgRates
from ingest.audits import AuditHandler
from ingest.backlog import Backlog
from ingest.changes import ChangesHandler
from ingest.connection import ConnectionHandler, SecretRotation
from ingest.connections import Connections
from ingest.door import Door
from ingest.draining import UnderWay
from ingest.failed_signatures import FailedSignatures
from ingest.grouping import Grouper
from ingest.heartbeats import HeartbeatHandler
from ingest.intake import Intake
from ingest.org_watch import OrgWatch
from ingest.problems import Problem, render
from ingest.registry import Registry
from ingest.requests import Requests
from ingest.signs_of_life import SignsOfLife
from pipeline import metrics
from pipeline.admin import AdminServer
from pipeline.broker import Publisher
from pipeline.database import open_pool
from pipeline.lifecycle import run_until_stopped
from pipeline.progress import hear
from pipeline.tally import ProcessKind, Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.database import Pool
    from pipeline.settings import Settings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger()

_ORG = "/v1/orgs/{org_id}"
# Whoever is refused may have written anything.
_MAX_ID_CHARACTERS: Final = 64
# For answers to leave, after the drain.
_CLOSE_S: Final = 1.0


async def run(settings: Settings) -> None:
    """Serve until a signal, then stop accepting, finish what is in flight, and return."""
    edge = settings.ingest
    requests = Requests()
    registry = Registry(
        settings.database.url, {"penstock_request": requests.read}, settings.secrets.ring()
    )
    publisher = Publisher(
        settings.broker.url, f"penstock ingest {os.getpid()}", edge.publish_timeout_s
    )
    in_flight = InFlight(edge.max_in_flight_bytes)
    checks = {"broker": publisher.problem, "registry": registry.problem}
    drained = asyncio.Event()

    async with (
        open_pool(settings.database, "penstock ingest") as pool,
        AdminServer(edge.admin_host, edge.admin_port, checks),
    ):
        rotation = SecretRotation(registry, pool)
        signs = SignsOfLife(pool)
        door = Door(
            registry,
            rotation.next_secret_used,
            signs.note,
            FailedSignatures(edge.failed_signatures_per_minute),
            edge.trusted_networks(),
        )
        backlog = Backlog(edge.backlog_s, publisher.source)
        intake = Intake(
            edge,
            door=door,
            rates=OrgRates(edge.org_callouts_per_s),
            backlog=backlog,
            in_flight=in_flight,
            publisher=publisher,
            grouper=Grouper(publisher.publish, edge.publish_timeout_s),
        )
        connection = ConnectionHandler(registry=registry, door=door, in_flight=in_flight, pool=pool)
        under_way = UnderWay()
        connections = Connections(edge)
        app = web.Application(middlewares=[connections.watch, under_way.watch, answer_problems])
        app.add_routes(routes(intake, connection, requests, pool))

        runner = web.AppRunner(app, shutdown_timeout=_CLOSE_S)
        server = await connections.listen(runner)
        log.info("listening", address=server.sockets[0].getsockname())

        async def serve(stop: asyncio.Event) -> None:
            try:
                await stop.wait()
                server.close()
                await under_way.drain(edge.drain_s)
            finally:
                await runner.cleanup()
                await rotation.drain(_CLOSE_S)
                drained.set()

        async def publish(_: asyncio.Event) -> None:
            # Requests under way need the broker, so it goes after the last of them.
            await publisher.run(drained)

        async def note_signs(_: asyncio.Event) -> None:
            # Those of the last requests are written, too.
            await signs.run(drained)

        async def follow(_: asyncio.Event) -> None:
            await hear(settings.broker.url, publisher.source, backlog.hear, drained)

        async def tell(_: asyncio.Event) -> None:
            await Tally(pool, ProcessKind.INGEST).run(drained)

        services = {"server": serve, "publisher": publish, "registry": registry.run}
        services |= {"signs of life": note_signs, "tally": tell, "progress": follow}
        services |= {"connections": connections.run, "orgs": OrgWatch(pool).run}
        await run_until_stopped(services)
    log.info("drained")


def routes(
    intake: Intake, connection: ConnectionHandler, requests: Requests, pool: Pool
) -> list[web.RouteDef]:
    """Return what the edge answers, at its addresses."""
    handlers = {
        "changes": ChangesHandler(intake, requests).post,
        "audit": AuditHandler(intake, requests).post,
        "heartbeat": HeartbeatHandler(intake, requests, pool).post,
        "handshake": connection.post_handshake,
    }
    return [
        *(
            web.post(f"{_ORG}/{name}", handler, expect_handler=welcome)
            for name, handler in handlers.items()
        ),
        web.get(f"{_ORG}/conditions", connection.get_conditions, expect_handler=welcome),
    ]


async def welcome(request: web.Request) -> None:
    """Have a client that waits for it send its body; what else it expects is not looked at.

    Source: RFC 9110, 10.1.1 "Expect".
    """
    if request.headers["Expect"].lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal into a problem document, and count every answer."""
    resource = request.match_info.route.resource
    route = resource.canonical.removeprefix(f"{_ORG}/") if resource else "unknown"
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Problem as problem:
        if not problem.is_told:
            log.info(
                "request_refused",
                route=route,
                org_id=request.match_info.get("org_id", "")[:_MAX_ID_CHARACTERS],
                callout_id=request.headers.get("webhook-id", "")[:_MAX_ID_CHARACTERS],
                status=problem.status.value,
                detail=problem.detail,
            )
        response = render(problem)
    except web.HTTPException as error:
        status = http.HTTPStatus(error.status)
        response = render(Problem(status, error.reason or status.phrase))
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
    except Exception:
        log.exception("request_failed", route=route)
        response = render(
            Problem(http.HTTPStatus.INTERNAL_SERVER_ERROR, "this was not foreseen; it is logged")
        )
    metrics.callouts.labels(route, response.status).inc()
    return response
