from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tests.changes import inserted, received
from tests.salesforce import LEAD_ID
from workers.forgotten import Forgotten

if TYPE_CHECKING:
    from pipeline.database import Connection


class ForgettingDatabase:
    """Answers what it is asked first; before it is asked again, somebody is forgotten."""

    def __init__(self) -> None:
        self.epoch = 1
        self._orgs: list[dict[str, Any]] = []

    async def fetchval(self, _: str) -> int:
        epoch = self.epoch
        self._forget()
        return epoch

    async def fetch(self, _: str, *given: list[Any]) -> list[dict[str, Any]]:
        if given:
            return [{"place": place} for place in given[0]]
        orgs = self._orgs
        self._forget()
        return orgs

    def _forget(self) -> None:
        self.epoch = 2
        (change,) = received(inserted({"Id": LEAD_ID}))
        self._orgs = [{"org_id": change.org_id, "until": 0, "is_blocking": False}]


async def test_a_tombstone_that_comes_while_they_are_read_is_not_missed() -> None:
    database = ForgettingDatabase()
    (change,) = received(inserted({"Id": LEAD_ID}))
    sifted = await Forgotten().among(cast("Connection", database), [change])
    # Or it would have to be of an older epoch than its transaction, which has it looked for again.
    assert sifted.keys == {change.key} or (sifted.epoch or 0) < database.epoch
