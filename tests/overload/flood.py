"""More than the machine sustains from noisy orgs, and a quiet one beside them.

What the machine sustains is found first, by noisy orgs that send as fast as they are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.objects import long_id
from tests.overload.sender import Answer
from tests.salesforce import Salesforce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from tests.processes import PenstockProcesses

_QUIET: Final = long_id("00D5g000004Quie")
_NOISY: Final = tuple(long_id(f"00D5g000004Noi{number}") for number in range(3))
_FACTOR: Final = 3
_QUIET_PER_S: Final = 5.0
_CONNECTIONS: Final = 300
_LOOK_EVERY_S: Final = 0.1
_SETTLE_S: Final = 10.0
_DRAIN_S: Final = 60.0
ACCEPTED: Final = 202
TOO_MANY: Final = 429
UNAVAILABLE: Final = 503
_COUNT: Final = "SELECT count(*) FROM change"
_COUNT_OF: Final = """
    SELECT count(*) AS count, count(DISTINCT (capture_id, record_id)) AS distinct_count
    FROM change WHERE capture_id = ANY($1)"""
_SEEN: Final = "SELECT capture_id FROM change WHERE org_id = $1"


class Spread(NamedTuple):
    """How times are spread, in seconds."""

    p50_s: float
    p99_s: float
    longest_s: float

    @classmethod
    def of(cls, times_s: Iterable[float]) -> Spread:
        """Return the spread of some times."""
        ascending = sorted(times_s)
        if not ascending:
            return cls(0.0, 0.0, 0.0)
        return cls(*(ascending[int(part * (len(ascending) - 1))] for part in (0.5, 0.99, 1)))


class Outcome(NamedTuple):
    """What a flood did. Rates are changes a second."""

    sustained: float
    offered: float
    accepted: float
    statuses: dict[int, int]
    too_many: Spread
    unavailable: Spread
    most_retry_after_s: int
    quiet_statuses: dict[int, int]
    quiet_waits: Spread
    memory_before_bytes: int
    memory_peak_bytes: int
    drained_s: float
    accepted_count: int
    lost_count: int
    doubled_count: int
    statuses_after: dict[int, int]
    waits_after: Spread


async def flood(
    penstock: PenstockProcesses, *, warm_s: float, seconds: float, change_count: int, rules: str
) -> Outcome:
    """Start an ingest and a worker, and flood them."""
    ingest = await penstock.start_ingest()
    await penstock.start_worker()
    orgs = [await Salesforce.connect(penstock, org_id, rules) for org_id in (_QUIET, *_NOISY)]
    quiet, noisy = _named(orgs[:1]), _named(orgs[1:])
    port = int(penstock.ingest_url.rpartition(":")[2])

    def noise(for_s: float, rate: float) -> asyncio.Task[list[Answer]]:
        return asyncio.create_task(
            _send(port, for_s, noisy, rate, connections=_CONNECTIONS, changes=change_count)
        )

    warm = noise(warm_s, 0.0)
    await asyncio.sleep(warm_s / 3)
    sustained = await _committed_per_s(penstock, warm_s * 2 / 3)
    accepted = _taken(await warm)
    await _drained(penstock, len(accepted) * change_count)

    before = peak = ingest.memory_bytes("VmRSS")
    offered = _FACTOR * sustained
    async with _watched(penstock) as seen:
        began = time.time()
        sender = noise(seconds, offered / change_count)
        quiet_sender = asyncio.create_task(
            _send(port, seconds, quiet, _QUIET_PER_S, connections=4, changes=1)
        )
        while not sender.done():
            peak = max(peak, ingest.memory_bytes("VmRSS"))
            await asyncio.sleep(_LOOK_EVERY_S)
        answers, quiet_answers = await sender, await quiet_sender
        ended = time.time()
        noisy_taken, quiet_taken = _taken(answers), _taken(quiet_answers)
        accepted += noisy_taken
        total_count = len(accepted) * change_count + len(quiet_taken)
        await _drained(penstock, total_count)
        drained_s = time.time() - ended
        waits = await _waits(quiet_taken, seen)
    await asyncio.sleep(max(0.0, _SETTLE_S - (time.time() - ended)))

    async with _watched(penstock) as seen:
        calm = {**quiet, **noisy}
        after = await _send(port, 3.0, calm, 2 * _QUIET_PER_S, connections=4, changes=1)
        after_taken = _taken(after)
        await _drained(penstock, total_count + len(after_taken))
        # The quiet org's are looked for; the others' are as the count says.
        quiet_after = [answer for answer in after_taken if answer.org_id in quiet]
        waits_after = await _waits(quiet_after, seen)
    noisy_ids = [answer.capture_id for answer in accepted]
    (kept,) = await penstock.fetch(_COUNT_OF, noisy_ids)
    took_s = max(answer.sent_s + answer.took_s for answer in answers) - began
    return Outcome(
        sustained=sustained,
        offered=len(answers) * change_count / took_s,
        accepted=len(noisy_taken) * change_count / took_s,
        statuses=_counted(answers),
        too_many=Spread.of(one.took_s for one in answers if one.status == TOO_MANY),
        unavailable=Spread.of(one.took_s for one in answers if one.status == UNAVAILABLE),
        most_retry_after_s=max((one.retry_after_s for one in answers), default=0),
        quiet_statuses=_counted(quiet_answers),
        quiet_waits=waits,
        memory_before_bytes=before,
        memory_peak_bytes=peak,
        drained_s=drained_s,
        accepted_count=len(noisy_ids) * change_count + len(quiet_taken) + len(after_taken),
        lost_count=len(noisy_ids) * change_count - kept["distinct_count"],
        doubled_count=kept["count"] - kept["distinct_count"],
        statuses_after=_counted(after),
        waits_after=waits_after,
    )


def _named(orgs: Sequence[Salesforce]) -> dict[str, str]:
    return {org.org_id: org.secret for org in orgs}


def _taken(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status == ACCEPTED]


def _counted(answers: Iterable[Answer]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for answer in answers:
        counts[answer.status] = counts.get(answer.status, 0) + 1
    return counts


async def _send(  # noqa: PLR0913  what the sender takes
    port: int, for_s: float, orgs: dict[str, str], rate: float, *, connections: int, changes: int
) -> list[Answer]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.overload.sender", str(port), str(for_s)),
        *(f"--rate={rate}", f"--connections={connections}", f"--changes={changes}"),
        *(f"{org_id}={secret}" for org_id, secret in orgs.items()),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return msgspec.json.decode(printed, type=list[Answer])


async def _committed_per_s(penstock: PenstockProcesses, for_s: float) -> float:
    first = (await penstock.fetch(_COUNT))[0][0]
    began = time.monotonic()
    await asyncio.sleep(for_s)
    last = (await penstock.fetch(_COUNT))[0][0]
    return float(last - first) / (time.monotonic() - began)


async def _drained(penstock: PenstockProcesses, count: int) -> None:
    """Return once at least so many changes are committed."""
    async with asyncio.timeout(_DRAIN_S):
        while (await penstock.fetch(_COUNT))[0][0] < count:  # noqa: ASYNC110  workers set no event of ours
            await asyncio.sleep(_LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def _watched(penstock: PenstockProcesses) -> AsyncIterator[dict[str, float]]:
    """Note when each of the quiet org's captures was first seen in the history."""
    seen: dict[str, float] = {}

    async def look() -> None:
        while True:
            for row in await penstock.fetch(_SEEN, _QUIET):
                seen.setdefault(row["capture_id"], time.time())
            await asyncio.sleep(_LOOK_EVERY_S)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
        await asyncio.wait({looking})


async def _waits(taken: Sequence[Answer], seen: dict[str, float]) -> Spread:
    async with asyncio.timeout(_DRAIN_S):
        while not all(answer.capture_id in seen for answer in taken):  # noqa: ASYNC110  as above
            await asyncio.sleep(_LOOK_EVERY_S)
    return Spread.of(seen[answer.capture_id] - answer.sent_s for answer in taken)
