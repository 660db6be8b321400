"""The sample org: a seeded Salesforce org whose records change, for demos, tests and load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.sample import seeds
from ops.sample.factory import RecordFactory
from ops.sample.formats import money
from ops.sample.timeline import Run, Timeline, created
from pipeline.objects import long_id

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from ops.sample.capture import Capture, Record
    from pipeline.change import Value

DEFAULT_ORG_ID: Final = "00D8Z000003DemoUAC"
# When the org and the leads of its load came to be: 2026-01-05T08:00:00Z.
FOUNDED_MS: Final = 1_767_600_000_000
# Loads happen from 2026-05-01T12:00:00Z on, unless told otherwise.
EDITS_RUN: Final = Run(1_777_636_800_000, step_ms=1)
BULK_RUN: Final = Run(1_777_636_800_000, step_ms=1_000)
_REP_COUNT: Final = 3
_INTEGRATION_USER: Final = {
    "FirstName": "Penstock",
    "LastName": "Sync",
    "Name": "Penstock Sync",
    "Username": "sync@penstock-sample.example",
    "Email": "sync@penstock-sample.example",
    "Alias": "psync",
    "CommunityNickname": "penstock.sync",
    "Title": None,
}
_PICKLISTS: Final = {
    "Status": ("Open", "Working", "Nurturing", "Qualified"),
    "Rating": ("Hot", "Warm", "Cold"),
}


class SampleOrg:
    """An org of invented people: everything in it follows from `seed` and `org_id`.

    Each call of `factory`, `timeline`, `edits` or `bulk` draws from a stream named by its
    arguments: the same call gives the same bytes, whatever else was drawn before it.

    `admin` set the org up, `sync_user` is the integration user that a handshake names, `reps` sell.
    """

    def __init__(self, seed: int, org_id: str = DEFAULT_ORG_ID) -> None:
        self.seed = seed
        self.org_id = long_id(org_id)
        # The same people work here whatever the seed, so that the org stays connected as they are.
        staff = RecordFactory(self.org_id, seeds.random_stream(self.org_id, "staff"))
        admin = staff.user(1, Title="System Administrator", Department="IT")
        self._admin_id = str(admin["Id"])
        self.admin = self._founded(admin)
        self.sync_user = self._founded(staff.user(2, **_INTEGRATION_USER))
        self.reps = [
            self._founded(staff.user(3, Department="Sales", ManagerId=self._admin_id))
            for _ in range(_REP_COUNT)
        ]

    @property
    def staff(self) -> list[Record]:
        """All users of the org as they were when it was founded."""
        return [self.admin, self.sync_user, *self.reps]

    def factory(self, purpose: str) -> RecordFactory:
        """Return a factory whose records and ids belong to `purpose` alone."""
        return RecordFactory(self.org_id, seeds.random_stream(self.seed, "records", purpose))

    def timeline(self, purpose: str, run: Run) -> Timeline:
        """Return the org's DML during `run`, with its staff loaded."""
        stream = seeds.random_stream(self.seed, "captures", purpose, run.salt)
        timeline = Timeline(self.org_id, stream, run)
        timeline.load(self.staff)
        return timeline

    def edits(
        self, count: int, run: Run = EDITS_RUN, *, lead_count: int = 1_000
    ) -> Iterator[Capture]:
        """Yield updates of one full-width Lead each, a field at a time, going round the leads."""
        return self.bulk(count, 1, run, lead_count=lead_count)

    def bulk(
        self, count: int, size: int = 200, run: Run = BULK_RUN, *, lead_count: int = 1_000
    ) -> Iterator[Capture]:
        """Yield `count` updates of `size` full-width Leads each, as a mass update makes them.

        Raises:
            ValueError: `size` is not within 1 and `lead_count`: no trigger gets a record twice.
        """
        if not 1 <= size <= lead_count:
            raise ValueError(f"size must be from 1 to lead_count ({lead_count}), not {size}")
        return self._load(count, size, run, lead_count)

    def _load(self, count: int, size: int, run: Run, lead_count: int) -> Iterator[Capture]:
        purpose = f"load of {size}"
        timeline = self.timeline(purpose, run)
        factory = self.factory(purpose)
        stream = seeds.random_stream(self.seed, "edits", purpose)
        lead_ids: list[str] = []
        for first in range(0, count * size, size):
            actor_id = str(stream.choice(self.reps)["Id"])
            values: dict[str, dict[str, Value]] = {}
            for turn in range(first, first + size):
                if turn < lead_count:
                    lead = self._founded(factory.lead(actor_id, full_width=True))
                    timeline.load([lead])
                    lead_ids.append(str(lead["Id"]))
                lead_id = lead_ids[turn % lead_count]
                values[lead_id] = _edit(stream, timeline.records[lead_id])
            yield timeline.transaction(actor_id).update(values)

    def _founded(self, record: Record) -> Record:
        return created(record, FOUNDED_MS, self._admin_id)


def _edit(stream: random.Random, lead: Record) -> dict[str, Value]:
    """Choose a field of a Lead and a value that it does not have."""
    field = stream.choice(("Status", "Rating", "AnnualRevenue"))
    if field == "AnnualRevenue":
        revenue = money(stream.randrange(50, 9_000) * 1_000)
        return {field: revenue + 1 if revenue == lead[field] else revenue}
    return {field: stream.choice([value for value in _PICKLISTS[field] if value != lead[field]])}
