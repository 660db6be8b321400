"""A burst of changes from one org, which sends again what it is told to send later.

Most callouts bring one change, some up to 20, a few 200, as an org's day does. Every change inserts
a Lead that nobody else inserts; each tenth one meets `RULES`.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from ops.sample.records import SampleOrg
from pipeline.objects import long_id
from tests.benchmarks import callouts
from tests.salesforce import RULE, callout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.benchmarks.callouts import Packed
    from tests.salesforce import Salesforce

# Whom it enrols is enrolled at once, however many they are.
RULES: Final = f"{RULE}ceiling: 1000000\n"
HOT_EVERY: Final = 10
# Shares in percent, and between how many and how many changes.
_SIZES: Final = ((80, 1, 1), (15, 2, 20), (5, 200, 200))
_WIDE_LEADS: Final = 200
_TRICKLE_S: Final = 0.2
_ACCEPTED: Final = 202
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class Burst:
    """Sends `change_count` changes at once, and one every 200 ms besides until it is stopped.

    `captures` are all that was sent, with how many changes; nothing is given up before its 202.
    """

    def __init__(self, org: Salesforce, change_count: int, seed: int) -> None:
        self.captures: dict[str, range] = {}
        self.answers: Counter[int] = Counter()
        self.is_sent = False
        self._trickled_count = 0
        self._org = org
        self._stream = random.Random(seed)
        self._change_count = change_count
        factory = SampleOrg(seed).factory("burst")
        owner_id = str(SampleOrg(seed).reps[0]["Id"])
        self._leads = [factory.lead(owner_id) for _ in range(_WIDE_LEADS)]

    @property
    def sent_count(self) -> int:
        """How many changes were accepted, once the burst is sent."""
        return self._change_count + self._trickled_count

    def prepare(self, path: Path) -> None:
        """Write the burst's requests: compressing and signing them is no part of any rate."""
        callouts.write(path, self._packed(), self._org.secret)

    async def send(self, path: Path, port: int, connection_count: int) -> None:
        """Return once all of the burst was accepted."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.autoscaling.sender", str(path), str(port)),
            f"--connections={connection_count}",
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                self.answers = Counter(msgspec.json.decode(line, type=dict[int, int]))
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.is_sent = True

    async def trickle(self, stop: asyncio.Event) -> None:
        """Send a change at a time until `stop`, so that whoever is ended meanwhile holds some."""
        while not stop.is_set():
            number = self._change_count + self._trickled_count
            capture_id = f"trickle-{number}"
            document = self._header(capture_id) | {"changes": [{"new": self._lead(number)}]}
            body = _encoder.encode(document)
            while (response := await self._org.send(body)).status != _ACCEPTED:  # noqa: ASYNC110  it is told for how long
                await asyncio.sleep(float(response.headers["Retry-After"]))
            self.captures[capture_id] = range(number, number + 1)
            self._trickled_count += 1
            await asyncio.sleep(_TRICKLE_S)

    def _packed(self) -> Iterator[Packed]:
        first = 0
        while first < self._change_count:
            (size,) = self._stream.choices(_SIZES, [share for share, _, _ in _SIZES])
            count = min(self._stream.randint(*size[1:]), self._change_count - first)
            numbers = range(first, first + count)
            capture_id = f"burst-{first}"
            self.captures[capture_id] = numbers
            changes = [{"new": self._lead(number)} for number in numbers]
            yield callouts.pack_one(self._header(capture_id), changes)
            first += count

    def _header(self, capture_id: str) -> dict[str, object]:
        header = callout([], operation="insert", capture_id=capture_id, org_id=self._org.org_id)
        header.pop("changes")
        return header

    def _lead(self, number: int) -> Mapping[str, object]:
        return dict(self._leads[number % _WIDE_LEADS]) | {
            "Id": long_id(f"00Q5g0000{number:06d}"),
            "Status": "Qualified" if number % HOT_EVERY == 0 else "Open",
            "Rating": "Hot",
            "Email": f"lead{number}@example.com",
        }
