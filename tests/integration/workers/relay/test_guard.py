"""Where requests really go: rules and redirects may name what they like, names lead anywhere."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
import pytest
from aiohttp import web

from tests.unit.workers.relay.claims import claim
from workers.relay.guard import Guard
from workers.relay.targets.http import is_refused_address
from workers.relay.targets.open_targets import NoTarget, open_targets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline import settings as tree

EVERYWHERE: Final = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
# Ways to write this machine that resolvers understand.
LOOPBACK: Final = [
    "127.0.0.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "0.0.0.0",  # noqa: S104  nobody listens there
    "１２７.0.0.1",  # noqa: RUF001  what a browser takes for a digit
]
# Ways that resolvers understand as well, and aiohttp does not even ask them of.
NO_ADDRESS: Final = ["127.1", "2130706433", "0177.0.0.1", "0", "127.0.0.1.", "2852039166"]
ELSEWHERE: Final = [
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "192.168.0.1",
]


class Site:
    """Keeps at which of this machine's addresses it was reached, and for which path."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reached: list[tuple[str, str]] = []
        self.answer: Callable[[], web.Response] = web.Response

    async def take(self, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        self.reached.append((request.transport.get_extra_info("sockname")[0], request.path))
        return self.answer()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Serve at every IPv4 address of this machine, and at every request, a proxy's too."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))  # noqa: S104  that is what is tried
        served = Site(listening.getsockname()[1])
        runner = web.ServerRunner(web.Server(served.take), shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        try:
            yield served
        finally:
            await runner.cleanup()


async def fetch(session: aiohttp.ClientSession, host: str, port: int) -> None:
    timeout = aiohttp.ClientTimeout(total=10)
    async with session.get(f"http://{host}:{port}/", timeout=timeout) as response:
        assert response.ok


@pytest.mark.parametrize("host", [*LOOPBACK, *NO_ADDRESS, *ELSEWHERE])
async def test_no_way_to_write_a_private_address_leads_there(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolve_dotted(name: str, *told: Any, **more: Any) -> Any:  # noqa: ANN401  as the library has it
        """Know `localhost.`, as some resolvers do."""
        return resolve(name.removesuffix("."), *told, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_dotted)
    async with site() as here:
        async with Guard(()).session() as session:
            with pytest.raises(aiohttp.ClientError) as raised:
                await fetch(session, host, here.port)
        is_no_address = isinstance(raised.value, aiohttp.InvalidURL)
        assert is_no_address if host in NO_ADDRESS else is_refused_address(raised.value)
        assert here.reached == []
        if host in LOOPBACK:
            # It would have led there.
            async with Guard(EVERYWHERE).session() as session:
                await fetch(session, host, here.port)
            assert [path for _, path in here.reached] == ["/"]


async def test_a_name_that_leads_elsewhere_the_second_time_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looked up once for each connection, which goes to the very address that was judged."""
    resolve, asked = socket.getaddrinfo, []

    def rebind(host: str, *told: Any, **more: Any) -> Any:  # noqa: ANN401  as the library has it
        if host != "rebinding.example":
            return resolve(host, *told, **more)
        asked.append(host)
        return resolve("127.0.0.2" if len(asked) == 1 else "127.0.0.1", *told, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    allowed = ipaddress.ip_network("127.0.0.2/32")
    async with site() as here, Guard((allowed,)).session() as session:
        await fetch(session, "rebinding.example", here.port)
        assert (here.reached, len(asked)) == ([("127.0.0.2", "/")], 1)
        here.reached.clear()
        # A session of its own has no connection left, and remembers no answer.
        async with Guard((allowed,)).session() as another:
            with pytest.raises(aiohttp.ClientConnectorError) as raised:
                await fetch(another, "rebinding.example", here.port)
        assert is_refused_address(raised.value)
        assert here.reached == []


async def deliver(settings: tree.Relay, name: str) -> list[str]:
    """Deliver a claim to the target of that name; return the answers."""
    async with open_targets(settings) as targets:
        target = targets.find(name)
        assert not isinstance(target, NoTarget)
        answers = await target.deliver([claim()])
    return [type(answer).__name__ for answer in answers]


@pytest.mark.parametrize("kind", ["webhook", "mixmax", "call"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_target_is_followed_to_where_it_redirects(
    relay_settings: tree.Relay, kind: str, status: int
) -> None:
    async with site() as metadata, site() as target:
        location = {"Location": f"http://127.0.0.1:{metadata.port}/latest/meta-data"}
        target.answer = lambda: web.Response(status=status, headers=location)
        url = f"http://127.0.0.1:{target.port}"
        settings = msgspec.structs.replace(
            relay_settings, webhook_url=url, mixmax_url=url, allow_networks="127.0.0.0/8"
        )
        assert await deliver(settings, url if kind == "call" else kind) == ["Held"]
        assert len(target.reached) == 1
        assert metadata.reached == []


@pytest.mark.parametrize("kind", ["webhook", "mixmax", "call"])
async def test_no_proxy_of_the_environment_is_asked_to_go_there_instead(
    relay_settings: tree.Relay, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with site() as proxy, site() as target:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for written in (name, name.lower()):
                monkeypatch.setenv(written, f"http://127.0.0.1:{proxy.port}")
        url = f"http://127.0.0.1:{target.port}"
        settings = msgspec.structs.replace(
            relay_settings, webhook_url=url, mixmax_url=url, allow_networks="127.0.0.0/8"
        )
        await deliver(settings, url if kind == "call" else kind)
        assert len(target.reached) == 1
        assert proxy.reached == []
