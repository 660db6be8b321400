"""One campaign: load, rounds of faults, rest; then everything is looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.chaos import records, reference, verdict
from tests.chaos.faults import Faults
from tests.chaos.flow import Flow
from tests.chaos.records import Records
from tests.chaos.site import Site
from tests.chaos.target import Target
from tests.chaos.traffic import Traffic
from tests.salesforce import Salesforce
from tests.starting import AFRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.chaos.flow import Recovery
    from tests.chaos.plan import Fault, Round
    from tests.chaos.servers import Servers
    from tests.starting import Start

_TRANSACTIONS_PER_S: Final = 15.0
# A statement that nobody answers any more is given up after 30 s; the rest is for a busy machine.
_RECOVERED_WITHIN_S: Final = 240.0
_ACCEPTED_WITHIN_S: Final = 60.0


class Outcome(NamedTuple):
    """What a campaign saw."""

    seed: int
    took_s: float
    recoveries: list[tuple[Fault, Recovery]]
    callout_count: int
    change_count: int
    delivered_count: int
    answers: Mapping[str, int]
    request_count: int
    deadlock_count: int
    broken: list[str]


async def run(  # noqa: PLR0913  each is a choice of its own
    servers: Servers,
    rounds: Sequence[Round],
    seed: int,
    folder: Path,
    say: Callable[[str], None],
    *,
    start: Start = AFRESH,
) -> Outcome:
    """Run the plan; return what was seen. `folder` gets the processes' logs."""
    began_s = time.monotonic()
    flow = Flow()
    saved = Records(seed)
    recoveries: list[tuple[Fault, Recovery]] = []
    broken: list[str] = []
    name = await servers.new_database()
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(Target(seed, flow))
        site = await stack.enter_async_context(Site(servers, name, target, folder, start))
        rules = records.rules(site.target_url)
        secrets = await _connected(site, rules)
        watching = asyncio.create_task(flow.watch_commits(servers.superuser_url(name)))
        keeping = asyncio.create_task(site.keep())
        for task in (watching, keeping):
            stack.push_async_callback(_ended, task)
        traffic = await stack.enter_async_context(
            Traffic(seed, site.ingest_url, secrets, saved, flow)
        )
        saving = asyncio.create_task(traffic.run(_TRANSACTIONS_PER_S))
        stack.push_async_callback(_ended, saving)
        await flow.recovered(_RECOVERED_WITHIN_S)
        faults = Faults(site, saved)
        for number, one in enumerate(rounds, 1):
            say(f"{time.monotonic() - began_s:6.1f} s  round {number}: {one}")
            await asyncio.gather(*map(faults.happen, one.faults))
            try:
                recovery = await flow.recovered(_RECOVERED_WITHIN_S)
            except TimeoutError as error:
                broken.append(f"round {number} ({one}): {error}")
                break
            told = ", ".join(f"{n[:-2]} {s:.2f} s" for n, s in recovery._asdict().items())
            say(f"{time.monotonic() - began_s:6.1f} s    flows again: {told}")
            recoveries += [(fault, recovery) for fault in one.faults]
            await asyncio.sleep(one.calm_s)
        traffic.stop()
        if not (await asyncio.wait({saving}, timeout=_ACCEPTED_WITHIN_S))[0]:
            broken.append("callouts are not accepted after the last fault")
        if unrest := await verdict.until_at_rest(site, traffic.accepted):
            broken.append(unrest)
        say(f"{time.monotonic() - began_s:6.1f} s  at rest")
        broken += await verdict.broken_promises(site, traffic.accepted, rules)
        broken += [*site.broken, *traffic.broken]
        return Outcome(
            seed=seed,
            took_s=time.monotonic() - began_s,
            recoveries=recoveries,
            callout_count=len(traffic.accepted),
            change_count=traffic.change_count,
            delivered_count=len(target.keys),
            answers=traffic.answers,
            request_count=target.request_counts.total(),
            deadlock_count=faults.deadlock_count,
            broken=broken,
        )


async def _connected(site: Site, rules: str) -> dict[str, str]:
    """Register the orgs, start the processes, shake hands; return each org's secret."""
    servers = site.servers
    url = servers.database_url(site.database, servers.port_of_database())
    codes = await reference.set_up(url, rules)
    await site.start_all()
    secrets = {}
    for org_id, code in codes.items():
        secrets[org_id] = await Salesforce(site.penstock, "", org_id).shake_hands(code)
    return secrets


async def _ended(task: asyncio.Task[None]) -> None:
    """End a task of the campaign's own; raise what it failed with."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
