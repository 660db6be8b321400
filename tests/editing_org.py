"""An org whose people go on working while it is read, in transactions that may take minutes.

A transaction's trigger runs, and up to ten minutes later it commits; until then no reading sees it.
Here each commits at once and its trigger ran before, which is the same to whoever is told of it.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.changes import record_ids
from tests.reading_org import ReadingOrg
from tests.salesforce import ORG_ID, callout, now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from tests.processes import PenstockProcesses

_EDITOR_COUNT: Final = 20
_MAX_TRANSACTION_MS: Final = 590_000
# How many transactions commit between the reading of a page and its sending.
_COMMITS_AMID_PAGE: Final = 10
_FIRST_NEW: Final = 1_000_000


class EditingOrg(ReadingOrg):
    """Creates, edits, deletes and brings back records all the time, and is read meanwhile."""

    def __init__(self, penstock: PenstockProcesses, secret: str, org_id: str = ORG_ID) -> None:
        super().__init__(penstock, secret, org_id)
        self.accepted_count = 0
        # What is in the recycle bin, by object and id.
        self.deleted: dict[str, dict[str, dict[str, Any]]] = {}
        self._new_ids: dict[str, Iterator[str]] = {}
        self._committed_at: dict[str, int] = {}
        self._commits = asyncio.Condition()
        self._commit_count = 0
        self._random = random.Random(1)
        self._stopping = False

    @asynccontextmanager
    async def edited(self, prefixes: Mapping[str, str]) -> AsyncIterator[None]:
        """Edit objects as fast as is answered from the beginning of the block to its end.

        `prefixes` has what each object's ids begin with.
        """
        self._new_ids = {
            sobject: record_ids(prefix, _FIRST_NEW) for sobject, prefix in prefixes.items()
        }
        self.deleted = {sobject: {} for sobject in prefixes}
        self._stopping = False
        async with asyncio.TaskGroup() as editors:
            for _ in range(_EDITOR_COUNT):
                editors.create_task(self._edit())
            try:
                yield
            finally:
                self._stopping = True

    async def until_accepted(self, more_count: int) -> None:
        """Return once `more_count` more changes than now were answered 202."""
        target = self.accepted_count + more_count
        async with self._commits:
            await self._commits.wait_for(lambda: self.accepted_count >= target)

    async def _edit(self) -> None:
        while not self._stopping:
            sobject = self._random.choice(list(self._new_ids))
            operation, change, at = self._commit(sobject)
            async with self._commits:
                self._commit_count += 1
                self._commits.notify_all()
            keys = {"org_id": self.org_id, "object": sobject, "operation": operation}
            await self.accepted(callout([change], captured_at=at, **keys))
            async with self._commits:
                self.accepted_count += 1
                self._commits.notify_all()

    def _commit(self, sobject: str) -> tuple[str, dict[str, Any], int]:
        """Commit one transaction; return its operation, its change and when its trigger ran."""
        records, deleted = self.records[sobject], self.deleted[sobject]
        operation = self._random.choices(
            ("insert", "update", "delete", "undelete"), (2, 16, 2 if records else 0, 1)
        )[0]
        if operation == "insert" or (operation == "undelete" and not deleted):
            record_id, at = next(self._new_ids[sobject]), self._began("")
            self.save(sobject, self._edited({"Id": record_id, "Name": "new"}), at)
            change: dict[str, Any] = {"new": records[record_id]}
            operation = "insert"
        elif operation == "undelete":
            record_id = self._random.choice(list(deleted))
            at = self._began(record_id)
            self.save(sobject, self._edited(deleted.pop(record_id)), at)
            change = {"new": records[record_id]}
        else:
            record_id = self._random.choice(list(records))
            at, old = self._began(record_id), records[record_id]
            if operation == "delete":
                deleted[record_id] = old
                self.delete(sobject, record_id)
                change = {"old": old}
            else:
                self.save(sobject, self._edited(old), at)
                change = {"old": old, "new": records[record_id]}
        self._committed_at[record_id] = now_ms()
        return operation, change, at

    def _began(self, record_id: str) -> int:
        """Return when the trigger of a transaction ran that commits now, and had the record."""
        now = now_ms()
        earliest = max(now - _MAX_TRANSACTION_MS, self._committed_at.get(record_id, 0) + 1)
        return self._random.randint(min(earliest, now), now)

    def _edited(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **record,
            "Status": self._random.choice(("Open", "Working", "Qualified")),
            "AnnualRevenue": self._random.randrange(10**6),
        }

    async def _told(self, route: str, document: dict[str, Any], status: int) -> dict[str, Any]:
        if route != "heartbeat" and not self._stopping:
            target = self._commit_count + _COMMITS_AMID_PAGE
            async with self._commits:
                await self._commits.wait_for(lambda: self._stopping or self._commit_count >= target)
        return await super()._told(route, document, status)
