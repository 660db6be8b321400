"""What is done to the site for each alert, and by which case of its runbook it is mended."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from tests import mixmax
from tests.changes import OTHER_ORG_ID
from tests.salesforce import ORG_ID, callout, now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tests.alerts.site import Site

    Fault = Callable[[Site], contextlib.AbstractAsyncContextManager[Mapping[str, str]]]

_DAY_MS: Final = 86_400_000
_LEADS: Final = "penstock-worker@lead"
_PREFETCH: Final = "PENSTOCK_WORKER__PREFETCH_COUNT"
_CODE: Final = re.compile(r"'([^' ]{20,})'\s*\)")


class Trial(NamedTuple):
    """An alert, what brings it about, and the case under "Mend" whose commands are followed.

    `by_hand` is what people do elsewhere, in Salesforce or at the target, after the case's first
    command; it gets what that printed.
    """

    alert: str
    words: str
    happen: Fault
    case: str
    by_hand: Callable[[Site, str], Awaitable[None]] | None = None


def _fault(of: Callable[[Site], AsyncIterator[dict[str, str]]]) -> Fault:
    return contextlib.asynccontextmanager(of)


def _killed(unit: str) -> Fault:
    @contextlib.asynccontextmanager
    async def happen(site: Site) -> AsyncIterator[Mapping[str, str]]:
        await site.machine.kill_unit(unit)
        yield {}

    return happen


@_fault
async def _no_token(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.insert("Contact", site.record("Contact", LastName="Mixmax"))
    yield {"MIXMAX_TOKEN": mixmax.TOKEN}


@_fault
async def _no_permission(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.broker.ctl("clear_permissions", "-p", "penstock", "ingest")
    await site.machine.broker.ctl("close_all_connections", "--vhost", "penstock", "trial")
    yield {}


@_fault
async def _small_allowance(site: Site) -> AsyncIterator[dict[str, str]]:
    site.machine.set("PENSTOCK_INGEST__ORG_CALLOUTS_PER_S", "1")
    await site.machine.restart_unit("penstock-ingest")
    yield {}


@_fault
async def _wrong_secret(site: Site) -> AsyncIterator[dict[str, str]]:
    site.org.secret = "whsec_" + "YW5vdGhlciBzZWNyZXQgdGhhbiBvdXJzIGluZGVlZA=="
    yield {"ORG": ORG_ID}


async def _connect(site: Site, printed: str) -> None:
    found = _CODE.search(printed)
    assert found, printed
    site.org.secret = await site.org.shake_hands(found[1])


@_fault
async def _locked(site: Site) -> AsyncIterator[dict[str, str]]:
    async with _lock(site):
        yield {}


@contextlib.asynccontextmanager
async def _lock(site: Site) -> AsyncIterator[None]:
    """Hold the history as a forgotten session would."""
    connection = await asyncpg.connect(site.machine.postgres.url)
    await connection.execute("BEGIN; LOCK TABLE change IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        connection.terminate()


@_fault
async def _too_old(site: Site) -> AsyncIterator[dict[str, str]]:
    long_ago = now_ms() - 100 * _DAY_MS
    await site.insert("Lead", site.record("Lead"), captured_at=long_ago)
    yield {}


@_fault
async def _dies(site: Site) -> AsyncIterator[dict[str, str]]:
    dying = asyncio.create_task(_kill_while_it_holds_much(site))
    try:
        yield {}
    finally:
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)


async def _kill_while_it_holds_much(site: Site) -> None:
    """Kill the worker over what it has in hand, as the kernel does for memory."""
    machine = site.machine
    while int(machine.setting(_PREFETCH)) > 16:
        async with _lock(site):
            await asyncio.sleep(4)
            if int(machine.setting(_PREFETCH)) <= 16:
                return
            await machine.kill_unit(_LEADS)
            await machine.start_unit(_LEADS)


@_fault
async def _beyond_ceiling(site: Site) -> AsyncIterator[dict[str, str]]:
    people = [site.record("Contact", LastName="Held") for _ in range(5)]
    await site.insert("Contact", *people)
    yield {"ORG": ORG_ID}


@_fault
async def _moved(site: Site) -> AsyncIterator[dict[str, str]]:
    yield {"NEW_URL": await site.machine.open_target()}


@_fault
async def _paused(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.operate("relay", "pause")
    yield {}


@_fault
async def _refusing(site: Site) -> AsyncIterator[dict[str, str]]:
    site.machine.target_status = 422
    yield {}


async def _take_again(site: Site, _: str) -> None:
    site.machine.target_status = 204


@_fault
async def _silent(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.sql(
        f"UPDATE heartbeat SET heard_at = now() - interval '3 h' WHERE org_id = '{OTHER_ORG_ID}'"  # noqa: S608  ours
    )
    yield {"ORG": OTHER_ORG_ID}
    await site.machine.operate("org", "resume", OTHER_ORG_ID)
    await site.beat(site.other)


@_fault
async def _wrong_clock(site: Site) -> AsyncIterator[dict[str, str]]:
    site.machine.clock_off_s = 200.0
    await site.beat(site.other)
    yield {}


@_fault
async def _given_up(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.beat(site.other, overflow=3)
    yield {"ORG": OTHER_ORG_ID}


async def _beat(site: Site, _: str) -> None:
    await site.beat(site.other)


@_fault
async def _change_without_trigger(site: Site) -> AsyncIterator[dict[str, str]]:
    lead = site.record("Lead", Status="Open")
    await site.insert("Lead", lead, org=site.other)
    changed = {**lead, "Status": "Working"}
    now = now_ms()
    site.other.save("Lead", {**changed, "Status": "Closed"}, now)
    change = {"old": changed, "new": {**changed, "Status": "Closed"}}
    await site.other.accepted(callout([change], org_id=OTHER_ORG_ID, captured_at=now + 1))
    await site.beat(site.other)
    yield {"ORG": OTHER_ORG_ID}


async def _obey(site: Site, _: str) -> None:
    async with asyncio.timeout(60):
        async for _asked in site.other.obey():
            pass


@_fault
async def _cannot_see(site: Site) -> AsyncIterator[dict[str, str]]:
    leads = [site.record("Lead", Status="Open") for _ in range(30)]
    await site.insert("Lead", *leads, org=site.other, captured_at=now_ms() - _DAY_MS)
    await site.machine.operate("audit", OTHER_ORG_ID, "--object", "Lead")
    await _obey(site, "")
    yield {"ORG": OTHER_ORG_ID}


@_fault
async def _no_database(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.postgres.stop()
    yield {}


@_fault
async def _no_broker(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.broker.stop_node()
    yield {}


@_fault
async def _no_privilege(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.sql("REVOKE DELETE ON tally FROM penstock_worker")
    for unit in (_LEADS, "penstock-worker@contact"):
        await site.machine.restart_unit(unit)
    yield {}


@_fault
async def _no_memory(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    yield {}


@_fault
async def _node_away(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.add_node()
    await site.machine.second.kill()
    yield {"NODE": site.machine.second.node}
    await site.machine.remove_node()


@_fault
async def _node_late(site: Site) -> AsyncIterator[dict[str, str]]:
    await site.machine.add_node()
    yield {"NODE": site.machine.second.node}


TRIALS: Final = (
    Trial("PenstockIngestDown", "ingest gets SIGKILL", _killed("penstock-ingest"), "Ingest"),
    Trial("PenstockRelayDown", "the relay gets SIGKILL", _killed("penstock-relay"), "The relay"),
    Trial(
        "PenstockProcessDown",
        "the console gets SIGKILL",
        _killed("penstock-console"),
        "The console",
    ),
    Trial("PenstockWorkerMissing", "the worker ends", _killed(_LEADS), "It was stopped"),
    Trial("PenstockNotReady", "rows wait for a token", _no_token, "A setting is missing"),
    Trial(
        "PenstockCalloutsRefused",
        "ingest's permissions are taken",
        _no_permission,
        "RabbitMQ refuses ingest's user",
    ),
    Trial(
        "PenstockCalloutsPutOff",
        "an org may send one callout a second",
        _small_allowance,
        "An org may send too little",
    ),
    Trial(
        "PenstockSignaturesFailing",
        "an org signs with another secret",
        _wrong_secret,
        "An org has another secret",
        _connect,
    ),
    Trial(
        "PenstockBacklogOld",
        "a session locks the history",
        _locked,
        "A session blocks the workers",
    ),
    Trial("PenstockDeadLetters", "a change of 100 days ago", _too_old, "They are of no use"),
    Trial(
        "PenstockRedeliveries",
        "the worker gets SIGKILL over what it holds, again and again",
        _dies,
        "It is killed for its memory",
    ),
    Trial("PenstockEnrollmentsHeld", "five people, ceiling one", _beyond_ceiling, "They are meant"),
    Trial("PenstockTargetUnreachable", "the target moves", _moved, "It has moved"),
    Trial(
        "PenstockOutboxOld",
        "somebody pauses the relay",
        _paused,
        "The relay was paused, and nobody resumed it",
    ),
    Trial(
        "PenstockDeliveriesRefused",
        "the target answers 422",
        _refusing,
        "The target refuses all of them",
        _take_again,
    ),
    Trial("PenstockOrgSilent", "an org sends nothing for 3 h", _silent, "The org is gone"),
    Trial(
        "PenstockOrgClockOff",
        "clocks are 200 s apart",
        _wrong_clock,
        "This machine's clock is wrong",
        _beat,
    ),
    Trial(
        "PenstockOrgCannotSend",
        "an org gives up on three changes",
        _given_up,
        "What refused them is mended",
        _beat,
    ),
    Trial(
        "PenstockChangesLost",
        "a record changes without a trigger",
        _change_without_trigger,
        "Something changed records without triggers",
        _obey,
    ),
    Trial(
        "PenstockAuditStopped",
        "an org lists none of 30 records",
        _cannot_see,
        "They are gone",
        _obey,
    ),
    Trial("PenstockDatabaseUnreachable", "PostgreSQL is stopped", _no_database, "It is stopped"),
    Trial("PenstockBrokerUnreachable", "RabbitMQ is stopped", _no_broker, "It is stopped"),
    Trial(
        "PenstockUpkeepHeld",
        "workers may not clear a table",
        _no_privilege,
        "A role lacks a privilege",
    ),
    Trial(
        "PenstockBrokerAlarm",
        "the limit of memory is next to nothing",
        _no_memory,
        "The limit of memory is too low",
    ),
    Trial("PenstockBrokerNodeDown", "a second node gets SIGKILL", _node_away, "It was stopped"),
    Trial("PenstockQueueLacksMember", "a second node joins late", _node_late, "A node joined late"),
)
