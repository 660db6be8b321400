"""An org with records that speaks the protocol of loads and audits: a second reading of it.

It knows no more than the contract: it tells how it is, and does what the answers ask for.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.salesforce import ORG_ID, Salesforce, now_ms, sign
from tests.snapshots import absence, datetime_of, snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.processes import PenstockProcesses

_PER_PAGE: Final = 50


class ReadingOrg(Salesforce):
    """Holds records, by object and id; what is deleted is in the recycle bin unless purged."""

    def __init__(self, penstock: PenstockProcesses, secret: str, org_id: str = ORG_ID) -> None:
        super().__init__(penstock, secret, org_id)
        self.records: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.sent_count = 0
        self._bin: set[str] = set()

    def save(self, sobject: str, record: Mapping[str, Any], at: int) -> None:
        """Write a record as it is since `at` (Unix ms); no trigger tells of it."""
        self.records[sobject][record["Id"]] = {**record, "SystemModstamp": datetime_of(at)}
        self._bin.discard(record["Id"])

    def delete(self, sobject: str, record_id: str, *, purged: bool = False) -> None:
        """Delete a record; no trigger tells of it."""
        del self.records[sobject][record_id]
        if not purged:
            self._bin.add(record_id)

    async def obey(self) -> AsyncIterator[dict[str, Any]]:
        """Do all that is asked for until nothing is; yields each request after each callout."""
        done: list[int] = []
        while asked := await self._beat(done):
            for request in asked:
                async for _ in self._serve(request):
                    yield request
            done = [request["id"] for request in asked]

    async def _beat(self, acknowledged: list[int]) -> list[dict[str, Any]]:
        beat = {
            "version": 1,
            "org_id": self.org_id,
            "package_version": "0.1.0",
            "api_version": "65.0",
            "clock": now_ms(),
            "parked": 0,
            "overflow": 0,
            "async_used": 1,
            "async_limit": 250_000,
            "conditions_version": 1,
            "acknowledged": acknowledged,
        }
        asked: list[dict[str, Any]] = (await self._told("heartbeat", beat, 200))["requests"]
        return asked

    async def _serve(self, request: dict[str, Any]) -> AsyncIterator[None]:
        sobject, keys = request["object"], {"org_id": self.org_id, "object": request["object"]}
        match request["kind"]:
            case "resend":
                there = [self.records[sobject].get(one) for one in request["ids"]]
                found = [record for record in there if record is not None]
                gone = [one for one in request["ids"] if one not in self.records[sobject]]
                in_bin = [one for one in gone if one in self._bin]
                purged = [one for one in gone if one not in self._bin]
                keys["request_id"] = request["id"]
                for body in (
                    snapshot(*found, **keys),
                    absence(*in_bin, **keys),
                    absence(*purged, why="not found", **keys),
                ):
                    if body["changes"]:
                        await self._send(body)
                        yield
            case "load":
                total = len(self.records[sobject])
                async for _, page, _ in self._pages(sobject, request["after"]):
                    if page:
                        body = snapshot(*page, request_id=request["id"], total=total, **keys)
                        await self._send(body)
                        yield
            case _:
                async for after, page, to in self._pages(sobject, request["after"]):
                    body = {
                        "version": 1,
                        **keys,
                        "audit_id": request["id"],
                        "read_at": now_ms(),
                        "after_id": after,
                        "to_id": to,
                        "records": [[one["Id"], _modstamp_of(one)] for one in page],
                    }
                    await self._told("audit", body, 202)
                    yield

    async def _pages(
        self, sobject: str, after: str | None
    ) -> AsyncIterator[tuple[str | None, list[dict[str, Any]], str | None]]:
        """Yield ranges (after, to] with their records, in the order of the ids."""
        while True:
            ids = sorted(one for one in self.records[sobject] if after is None or one > after)
            page = [self.records[sobject][one] for one in ids[:_PER_PAGE]]
            to = ids[_PER_PAGE - 1] if len(ids) > _PER_PAGE else None
            yield after, page, to
            if to is None:
                return
            after = to

    async def _send(self, body: dict[str, Any]) -> None:
        self.sent_count += len(body["changes"])
        await self._told("changes", {**body, "capture_id": str(uuid.uuid4())}, 202)

    async def _told(self, route: str, document: dict[str, Any], status: int) -> dict[str, Any]:
        """Post what has to be answered with a status; return the answer."""
        body = msgspec.json.encode(document)
        async with await self.post(route, body, sign(self.secret, body)) as response:
            assert response.status == status, await response.text()
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
            return answer


def _modstamp_of(record: Mapping[str, Any]) -> int:
    """Return a record's SystemModstamp as an audit tells it."""
    return int(dt.datetime.fromisoformat(record["SystemModstamp"]).timestamp()) * 1000
