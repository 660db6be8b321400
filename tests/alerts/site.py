"""What goes on at the machine of the trial: two orgs, and changes that come all the time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import msgspec

from tests.alerts.machine import Machine
from tests.changes import OTHER_ORG_ID
from tests.processes import PenstockProcesses
from tests.reading_org import ReadingOrg
from tests.salesforce import ORG_ID, callout, now_ms, sign

if TYPE_CHECKING:
    from pathlib import Path

_SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
_RULES: Final = """\
rule: leads
object: Lead
on: [insert, update]
when: [{field: Status, equals: Qualified}]
ceiling: 1000000
then: [{add_to_sequence: nurture, recipient: Email}]
---
rule: beyond
object: Contact
on: [insert]
when: [{field: LastName, equals: Held}]
ceiling: 1
then: [{add_to_sequence: nurture, recipient: Email}]
---
rule: elsewhere
object: Contact
on: [insert]
when: [{field: LastName, equals: Mixmax}]
then: [{add_to_sequence: newsletter, recipient: Email}]
---
sequence: newsletter
target: mixmax
target_id: 5f0c8e1d2b3a4c5d6e7f8091
"""
_PAUSE_S: Final = 0.2


class Site:
    """The machine, the orgs that are connected to it, and their changes, about ten a second."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder, _SECRET)
        self.org: ReadingOrg
        self.other: ReadingOrg
        self._numbers = itertools.count(1)
        self._senders: list[asyncio.Task[None]] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _begin(self) -> None:
        self._stack.push_async_callback(self.machine.stop)
        await self.machine.start()
        penstock = PenstockProcesses(self.machine.environment, self.machine.folder)
        await self._stack.enter_async_context(penstock)
        penstock.ingest_url = self.machine.ingest_url
        self.org = await ReadingOrg.connect(penstock, ORG_ID, _RULES)
        self.other = await ReadingOrg.connect(penstock, OTHER_ORG_ID, _RULES)
        for org in (self.org, self.other):
            # They load nothing, since they have nothing yet.
            async for _ in org.obey():
                pass
        self._senders = [asyncio.create_task(self._send(name)) for name in ("Lead", "Contact")]

    async def __aexit__(self, *_: object) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        await self._stack.aclose()

    async def beat(self, org: ReadingOrg, **told: int) -> None:
        """Send a heartbeat; `told` is what is not as it should be."""
        document = {
            "version": 1,
            "org_id": org.org_id,
            "package_version": "0.1.0",
            "api_version": "65.0",
            "clock": now_ms() + int(self.machine.clock_off_s * 1000),
            "parked": 0,
            "overflow": 0,
            "async_used": 1,
            "async_limit": 250_000,
            "conditions_version": 1,
            **told,
        }
        body = msgspec.json.encode(document)
        async with await org.post("heartbeat", body, sign(org.secret, body)) as answer:
            assert answer.status == 200, await answer.text()

    def record(self, sobject: str, **fields: str) -> dict[str, str]:
        """Return a new record, with an address of its own."""
        number = next(self._numbers)
        prefix = {"Lead": "00Q", "Contact": "003"}[sobject]
        own = {"Id": f"{prefix}{number:012d}AAA", "Email": f"p{number}@example.com"}
        return {**own, "Status": "Qualified", "LastName": "Berg", **fields}

    async def insert(
        self,
        sobject: str,
        *records: dict[str, str],
        org: ReadingOrg | None = None,
        **keys: Any,
    ) -> None:
        """Have an org tell of new records; they have to be accepted."""
        org = org or self.org
        changes = [{"new": record} for record in records]
        document = {"object": sobject, "operation": "insert", "org_id": org.org_id, **keys}
        await org.accepted(callout(changes, **document))

    async def _send(self, sobject: str) -> None:
        """Insert records for ever, whatever is answered."""
        while True:
            record = self.record(sobject)
            body = callout([{"new": record}], object=sobject, operation="insert")
            with contextlib.suppress(aiohttp.ClientError):
                await self.org.send(body)
            await asyncio.sleep(_PAUSE_S)
