"""What each kind of fault does, and undoes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

import asyncpg

from ops.stack.processes import children_of
from tests.chaos.plan import Harm, Seat
from tests.chaos.records import CLOCK_OFF_MS, ORG_IDS
from tests.chaos.servers import ROLE
from tests.servers import execute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.plan import Fault
    from tests.chaos.proxy import Proxy
    from tests.chaos.records import Records
    from tests.chaos.servers import Servers
    from tests.chaos.site import Site

_MEMORY_SHARE: Final = "0.4"
_DISK_FREE_LIMIT: Final = "200MB"
_ENDED: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
_FULL: Final = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON change EXECUTE FUNCTION full_disk();"""
_EMPTY: Final = "DROP TRIGGER full_disk ON change; DROP FUNCTION full_disk"


class Faults:
    """Makes faults happen to a site."""

    def __init__(self, site: Site, records: Records) -> None:
        self._site = site
        self._records = records
        self.deadlock_count = 0

    async def happen(self, fault: Fault) -> None:
        """Let one fault happen from its beginning to its end; return once it is undone."""
        await asyncio.sleep(fault.after_s)
        async with self._harm(fault):
            await asyncio.sleep(fault.duration_s)

    def _harm(  # noqa: PLR0911  a case each
        self, fault: Fault
    ) -> contextlib.AbstractAsyncContextManager[None]:
        match fault.kind.seat:
            case Seat.INGEST | Seat.WORKER | Seat.RELAY:
                return _process(self._site, fault)
            case Seat.BROKER:
                return _broker(self._site.servers, fault.kind.harm)
            case Seat.DATABASE:
                if fault.kind.harm is Harm.DEADLOCKS:
                    return self._deadlocks()
                return _database(self._site, fault)
            case Seat.WAY_TO_BROKER:
                return _way(self._site.to_broker, fault)
            case Seat.WAY_TO_DATABASE:
                return _way(self._site.to_database, fault)
            case Seat.WAY_TO_TARGET:
                return _way(self._site.to_target, fault)
            case Seat.TARGET:
                return self._target(fault.kind.harm)
            case Seat.CLOCK:
                return self._clock(fault)

    @contextlib.asynccontextmanager
    async def _target(self, harm: Harm) -> AsyncIterator[None]:
        self._site.target.harm = harm
        yield
        self._site.target.harm = None

    @contextlib.asynccontextmanager
    async def _clock(self, fault: Fault) -> AsyncIterator[None]:
        self._records.clock_off_ms = CLOCK_OFF_MS if fault.draw < 0.5 else -CLOCK_OFF_MS
        yield
        self._records.clock_off_ms = 0

    @contextlib.asynccontextmanager
    async def _deadlocks(self) -> AsyncIterator[None]:
        """Lock leads in the order that workers do not."""
        rival = asyncio.create_task(self._rival())
        yield
        rival.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await rival

    async def _rival(self) -> None:
        site = self._site
        connection = await asyncpg.connect(site.servers.superuser_url(site.database))
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        before = await connection.fetchval(deadlocks)
        try:
            # Of two that wait for each other, the worker is to be the one that is told.
            await connection.execute("SET deadlock_timeout = '1min'; SET lock_timeout = '4s'")
            while True:
                for org_id in ORG_IDS:
                    with contextlib.suppress(asyncpg.LockNotAvailableError):
                        await self._lock_backwards(connection, org_id)
        finally:
            await connection.execute("SELECT pg_stat_clear_snapshot()")
            self.deadlock_count += await connection.fetchval(deadlocks) - before
            await connection.close()

    async def _lock_backwards(
        self, connection: asyncpg.Connection[asyncpg.Record], org_id: str
    ) -> None:
        async with connection.transaction():
            for record_id in reversed(self._records.living(org_id)):
                await connection.execute(
                    "SELECT FROM record WHERE org_id = $1 AND record_id = $2 FOR UPDATE",
                    org_id,
                    record_id,
                )
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _process(site: Site, fault: Fault) -> AsyncIterator[None]:
    names = site.names(fault.kind.seat.value)
    name = names[int(fault.draw * len(names))]
    match fault.kind.harm:
        case Harm.FREEZE:
            site.freeze(name)
            yield
            site.thaw(name)
        case Harm.KILL:
            await site.kill(name)
            yield
            await site.start(name)
        case Harm.TERMINATE:
            await site.terminate(name)
            yield
            await site.start(name)
        case _:
            raise AssertionError(fault.kind)


@contextlib.asynccontextmanager
async def _broker(servers: Servers, harm: Harm) -> AsyncIterator[None]:
    broker = servers.broker
    match harm:
        case Harm.KILL | Harm.TERMINATE:
            await (broker.kill() if harm is Harm.KILL else broker.stop())
            yield
            await broker.start()
        case Harm.FREEZE:
            assert broker.pid
            os.kill(broker.pid, signal.SIGSTOP)
            yield
            os.kill(broker.pid, signal.SIGCONT)
        case Harm.MEMORY_ALARM:
            await broker.ctl("set_vm_memory_high_watermark", "0.00001")
            yield
            await broker.ctl("set_vm_memory_high_watermark", _MEMORY_SHARE)
        case Harm.DISK_ALARM:
            await broker.ctl("set_disk_free_limit", "1000000GB")
            yield
            await broker.ctl("set_disk_free_limit", _DISK_FREE_LIMIT)
        case _:
            raise AssertionError(harm)


@contextlib.asynccontextmanager
async def _database(site: Site, fault: Fault) -> AsyncIterator[None]:
    postgres, url = site.servers.postgres, site.servers.superuser_url(site.database)
    assert postgres.pid
    match fault.kind.harm:
        case Harm.KILL | Harm.FAST_SHUTDOWN | Harm.IMMEDIATE_SHUTDOWN:
            if fault.kind.harm is Harm.KILL:
                await postgres.kill()
            else:
                if fault.kind.harm is Harm.IMMEDIATE_SHUTDOWN:
                    os.kill(postgres.pid, signal.SIGQUIT)
                await postgres.stop()
            yield
            await postgres.start()
        case Harm.FREEZE:
            frozen = [postgres.pid, *children_of(postgres.pid)]
            _signal(frozen, signal.SIGSTOP)
            yield
            _signal([*frozen, *children_of(postgres.pid)], signal.SIGCONT)
        case Harm.KILLED_SESSION:
            # The server ends all others then, and recovers as from a crash.
            pids = await _sessions(url)
            _signal(pids[int(fault.draw * len(pids)) :][:1], signal.SIGKILL)
            yield
        case Harm.ENDED_SESSIONS:
            await execute(url, _ENDED, ROLE)
            yield
        case Harm.CONNECTION_LIMIT:
            await execute(url, f"ALTER ROLE {ROLE} CONNECTION LIMIT {int(fault.draw * 4)}")
            await execute(url, _ENDED, ROLE)
            yield
            await execute(url, f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        case Harm.FULL_DISK if site.servers.disk.is_there:
            site.servers.disk.fill()
            yield
            site.servers.disk.empty()
        case Harm.FULL_DISK:
            await execute(url, _FULL)
            yield
            await execute(url, _EMPTY)
        case _:
            raise AssertionError(fault.kind)


@contextlib.asynccontextmanager
async def _way(proxy: Proxy, fault: Fault) -> AsyncIterator[None]:
    match fault.kind.harm:
        case Harm.CUT:
            proxy.cut()
            yield
            proxy.cut()
        case Harm.REFUSED:
            proxy.refuse()
            yield
            await proxy.listen()
        case Harm.DELAYED:
            proxy.delay_s = 0.05 + 0.5 * fault.draw
            yield
            proxy.delay_s = 0.0
        case Harm.THROTTLED:
            proxy.rate_bytes_per_s = 2_000 + 60_000 * fault.draw
            yield
            proxy.rate_bytes_per_s = 0.0
        case Harm.HALF_CLOSED:
            proxy.half_close(towards_client=fault.draw < 0.5)
            yield
        case Harm.STALLED:
            proxy.open.clear()
            yield
            proxy.open.set()
        case Harm.FORGOTTEN:
            proxy.forget()
            yield
        case _:
            raise AssertionError(fault.kind)


async def _sessions(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE usename = $1", ROLE)
        return [row["pid"] for row in rows]
    finally:
        await connection.close()


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
