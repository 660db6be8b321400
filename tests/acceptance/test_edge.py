"""A real nginx with deploy/nginx/penstock.conf before a real ingest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from ops.stack.ports import LOOPBACK, free_port
from pipeline.settings import Settings
from tests.deployment.check import found
from tests.nginx import CALLOUTS, CONSOLE, Nginx
from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.processes import PenstockProcesses, Running

NGINX: Final = found("nginx")
MAX_BYTES: Final = Settings().ingest.max_body_bytes
# Where the client is, which nginx has to tell: another address than nginx's own.
CLIENT: Final = "127.0.0.2"
CHANGES: Final = f"/v1/orgs/{ORG_ID}/changes"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class _Here(AbstractResolver):
    """Every name leads here."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=LOOPBACK, port=port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Have nothing to close."""


@contextlib.asynccontextmanager
async def running(edge: Nginx) -> AsyncIterator[aiohttp.ClientSession]:
    """Run nginx, and yield who comes to it from outside."""
    assert NGINX is not None
    started = await edge.start(NGINX)
    trust = ssl.create_default_context(cafile=str(edge.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, resolver=_Here(), local_addr=(CLIENT, 0))
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session
    finally:
        await started.stop()


class Edge(NamedTuple):
    """An ingest and the nginx before it; to the outside, Penstock is what that lets through."""

    penstock: PenstockProcesses
    ingest: Running
    nginx: Nginx


@pytest.fixture
async def edge(penstock: PenstockProcesses, service_folder: Path) -> AsyncIterator[Edge]:
    """An ingest behind nginx, at the address that orgs know it by."""
    port = free_port()
    ingest = await penstock.start_ingest(
        PENSTOCK_INGEST__PORT=str(port),
        PENSTOCK_INGEST__TRUSTED_PROXIES=f"{LOOPBACK}/32",
        # Large callouts on a machine that is busy with other tests.
        PENSTOCK_INGEST__PUBLISH_TIMEOUT_S="30",
    )
    nginx = Nginx(service_folder, [port])
    async with running(nginx) as session:
        inner, penstock.session = penstock.session, session
        penstock.ingest_url = f"https://{CALLOUTS}:{nginx.port}"
        yield Edge(penstock, ingest, nginx)
        penstock.session = inner


async def test_callouts_go_through_up_to_the_limit_and_past_it_get_ingests_own_words(
    edge: Edge,
) -> None:
    org = await Salesforce.connect(edge.penstock)
    lead = {"Id": LEAD_ID, "Description": "long" * 12_500}
    largest = msgspec.json.encode(callout([{"new": lead}] * 200, operation="insert"))
    largest += b" " * (MAX_BYTES - len(largest))
    assert (await sent(edge, org, largest)).status == 202
    refused = await sent(edge, org, largest + b" ")
    assert (refused.status, refused.content_type) == (413, "application/problem+json")
    assert await refused.json() == {
        "type": "about:blank",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": f"the body is over {MAX_BYTES} bytes",
    }


async def sent(edge: Edge, org: Salesforce, body: bytes) -> aiohttp.ClientResponse:
    """Return the answer, read. A body in one piece would have the client warn of its length."""
    url, headers = edge.penstock.ingest_url + CHANGES, sign(org.secret, body)
    async with edge.penstock.session.post(url, data=BytesIO(body), headers=headers) as answer:
        await answer.read()
        return answer


async def test_ingest_sees_the_clients_address_whatever_the_client_says_of_it(
    edge: Edge,
) -> None:
    org = await Salesforce.connect(edge.penstock)
    body = msgspec.json.encode(callout([]))
    forged = sign("whsec_" + "b3RoZXI=", body) | {"X-Forwarded-For": "198.51.100.7"}
    async with await org.post("changes", body, forged) as response:
        assert response.status == 401
    told = [json.loads(line) for line in edge.ingest.log.splitlines() if "signature_failed" in line]
    assert [one["address"] for one in told] == [CLIENT]


async def test_http_2_is_spoken(edge: Edge, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    org = await Salesforce.connect(edge.penstock)
    body = msgspec.json.encode(callout([{"new": {"Id": LEAD_ID}}], operation="insert"))
    (tmp_path / "body").write_bytes(body)
    headers = [f"{name}: {value}" for name, value in sign(org.secret, body).items()]
    process = await asyncio.create_subprocess_exec(
        curl,
        *("--silent", "--show-error", "--http2", "--cacert", str(edge.nginx.ca_file)),
        *("--resolve", f"{CALLOUTS}:{edge.nginx.port}:{LOOPBACK}"),
        *(word for header in headers for word in ("--header", header)),
        *("--data-binary", f"@{tmp_path / 'body'}"),
        *("--write-out", "\n%{http_version} %{http_code}"),
        f"{edge.penstock.ingest_url}{CHANGES}",
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert printed.decode().splitlines()[-1] == "2 202"


async def test_nothing_is_reached_but_callouts_and_the_console(service_folder: Path) -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    async with TestServer(app) as server:
        nginx = Nginx(service_folder, [server.port or 0])
        async with running(nginx) as session:
            for path in ("/", "/metrics", "/healthz", "/readyz", "/v1/"):
                async with session.get(f"https://{CALLOUTS}:{nginx.port}{path}") as response:
                    assert response.status == 404, path
                    assert response.content_type == "application/problem+json"
            with pytest.raises(aiohttp.ClientConnectorSSLError):
                await session.get(f"https://other.example.com:{nginx.port}/")


async def test_the_console_answers_by_its_name(
    penstock: PenstockProcesses, service_folder: Path
) -> None:
    port = free_port()
    nginx = Nginx(service_folder, [free_port()], console=port)
    url = f"https://{CONSOLE}:{nginx.port}"
    await penstock.start_console(
        PENSTOCK_CONSOLE__PORT=str(port),
        PENSTOCK_CONSOLE__PUBLIC_URL=url,
        PENSTOCK_CONSOLE__TRUSTED_PROXIES=f"{LOOPBACK}/32",
    )
    async with running(nginx) as session, session.get(f"{url}/") as response:
        assert response.status == 200
        assert str(response.url) == f"{url}/sign-in"
        assert "max-age" in response.headers["Strict-Transport-Security"]


async def test_what_ingest_says_passes_and_what_it_cannot_say_is_said_for_it(
    service_folder: Path,
) -> None:
    """One ingest that dies amid a request, one that is too busy, none at all."""
    heard: list[dict[str, str]] = []

    async def die(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def busy(request: web.Request) -> web.Response:
        assert await request.read() == b"{}"
        heard.append(dict(request.headers))
        return web.Response(status=503, headers={"Retry-After": "7"}, text="busy")

    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for handler in (die, busy):
            app = web.Application()
            app.router.add_post(CHANGES, handler)
            servers.append(await stack.enter_async_context(TestServer(app)))
        nginx = Nginx(service_folder, [server.port or 0 for server in servers])
        session = await stack.enter_async_context(running(nginx))
        url = f"https://{CALLOUTS}:{nginx.port}{CHANGES}"
        # Whichever is asked first: who dies is asked once, and then the other one.
        for _ in range(4):
            async with session.post(url, data=b"{}", headers={"With_Underscore": "yes"}) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
                assert await answer.text() == "busy"
        assert {one.get("With_Underscore") for one in heard} == {"yes"}
        for server in servers:
            await server.close()
        async with session.post(url, data=b"{}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert (await answer.json())["detail"] == "no ingest answers"


async def test_who_is_not_in_salesforces_ranges_is_turned_away_where_they_are_listed(
    service_folder: Path,
) -> None:
    ranges = "geo $from_salesforce {\n    default 0;\n    192.0.2.0/24 1;\n}\n"
    nginx = Nginx(service_folder, [free_port()], ranges=ranges)
    url = f"https://{CALLOUTS}:{nginx.port}{CHANGES}"
    async with running(nginx) as session, session.post(url, data=b"{}") as answer:
        assert answer.status == 403
        assert (await answer.json())["detail"] == "not an address of Salesforce"
