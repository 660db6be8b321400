"""Penstock as a fleet runs it: two of every process, and a sender that goes to the other ingest."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from ops.stack.ports import free_port
from tests.load import Load
from tests.salesforce import RULE, Salesforce
from tests.shares import until_each_works
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.processes import PenstockProcesses, Running

_SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
_EACH: Final = 2
# Of the Leads that a load inserts: each load's are its own.
_LOAD_SIZE: Final = 100_000
# Whom it enrols is told at once, however many they are.
_RULE: Final = f"{RULE}ceiling: 1000000\n"
_COMMIT_TIMEOUT_S: Final = 60.0
_CHANGES: Final = "SELECT count(*) FROM change"
_OPEN: Final = "SELECT count(*) FROM outbox WHERE state <> 'delivered'"
_DELIVERED: Final = "SELECT count(*) FROM outbox WHERE state = 'delivered'"


class RoundRobin(Salesforce):
    """Goes to one ingest after the other, and to the next when one is gone: a load balancer."""

    urls: tuple[str, ...] = ()
    _turn = itertools.count()

    async def post(
        self, route: str, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        turn = next(self._turn)
        for which in range(_EACH):
            url = self.urls[(turn + which) % _EACH]
            try:
                return await self._penstock.session.post(
                    f"{url}/v1/orgs/{self.org_id}/{route}", data=body, headers=headers
                )
            except aiohttp.ClientError:
                if which == _EACH - 1:
                    raise
        raise AssertionError("there is an ingest to go to")


class Fleet:
    """Two ingests, two workers, two relays, and the target that they tell.

    Whatever is started is started by `penstock`, which may become another version's.
    """

    def __init__(self, penstock: PenstockProcesses) -> None:
        self.penstock = penstock
        self.org: RoundRobin
        self._target = Webhooks(_SECRET)
        self._ports = [str(free_port()) for _ in range(_EACH)]
        self._running: dict[tuple[str, int], Running] = {}
        self._load_number = itertools.count()

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Run everything, with an org that is connected, for as long as the block."""
        runner, port = web.AppRunner(self._target.app), free_port()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.penstock.environment |= {
            "PENSTOCK_RELAY__WEBHOOK_URL": f"http://127.0.0.1:{port}/",
            "PENSTOCK_RELAY__WEBHOOK_SECRET": _SECRET,
            "PENSTOCK_RELAY__REQUESTS_PER_S": "1000",
            # A row whose relay could not write down what became of it is taken again after that.
            "PENSTOCK_RELAY__LEASE_S": "10",
            "PENSTOCK_RELAY__TIMEOUT_S": "5",
        }
        try:
            for kind, number in self.parts():
                await self._start(kind, number)
            RoundRobin.urls = tuple(f"http://127.0.0.1:{port}" for port in self._ports)
            self.org = await RoundRobin.connect(self.penstock, rules=_RULE)
            yield
        finally:
            await runner.cleanup()

    def parts(self) -> list[tuple[str, int]]:
        """Return each process's kind and number."""
        return [(kind, number) for kind in ("ingest", "worker", "relay") for number in range(_EACH)]

    async def restart(self, kind: str, number: int) -> None:
        """Stop one process in good order and start another in its place."""
        assert await self._running[kind, number].terminate() == 0, self._running[kind, number].log
        await self._start(kind, number)

    async def commits(self) -> None:
        """Return once workers have committed something after now."""
        async with asyncio.timeout(_COMMIT_TIMEOUT_S):
            (before,) = (await self.penstock.fetch(_CHANGES))[0]
            while (await self.penstock.fetch(_CHANGES))[0][0] == before:
                pass

    async def all_work(self) -> None:
        """Return once each process has done something of its own after now."""
        await until_each_works(self.penstock.session, self._running.values())

    @asynccontextmanager
    async def load(self, within_s: float = 2.0) -> AsyncIterator[Load]:
        """Send for as long as the block; then see that nothing was lost, doubled or left undone."""
        first = next(self._load_number) * _LOAD_SIZE
        load = Load(self.org, sender_count=4, rest_s=0.03, first=first, limit=_LOAD_SIZE)
        async with load:
            await load.until_accepted(50)
            load.pause_s()
            yield load
        load.assert_put_off_at_worst(within_s)
        await load.assert_kept_once(self.penstock)
        await self.penstock.until_counted(0, _OPEN)
        keys = {headers["Idempotency-Key"] for _, headers, _ in self._target.requests}
        assert len(keys) == (await self.penstock.fetch(_DELIVERED))[0][0]
        assert len({recipient for _, recipient in self._target.told()}) == len(keys)

    async def _start(self, kind: str, number: int) -> None:
        match kind:
            case "ingest":
                running = await self.penstock.start_ingest(
                    PENSTOCK_INGEST__PORT=self._ports[number]
                )
            case "worker":
                running = await self.penstock.start_worker("lead")
            case _:
                running = await self.penstock.start_relay()
        self._running[kind, number] = running
