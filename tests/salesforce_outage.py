"""What tests of outages do in an org, and what they look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.values import Id, SObject

MINUTE_MS: Final = 60_000


def new_lead(org: Org, **fields: Any) -> Id:
    """Save a hot lead in a transaction of its own and run what that queued."""
    lead = {"LastName": "Doe", "Company": "Acme", "Rating": "Hot", "Email": "doe@example.com"}
    with org.transaction() as save:
        (outcome,) = save.insert("Lead", {**lead, **fields})
    org.run_until_idle()
    assert outcome.record_id is not None
    return outcome.record_id


def edit(org: Org, lead_id: str, **fields: Any) -> None:
    """Save an update of a lead and run what that queued."""
    with org.transaction() as save:
        save.update("Lead", {"Id": lead_id, **fields})
    org.run_until_idle()


def parked(org: Org) -> list[SObject]:
    """Return the parked rows, oldest first."""
    return org.select(
        "SELECT Id, Object__c, Reason__c, Attempts__c, Retry__c, Size__c FROM Penstock_Parked__c"
        " ORDER BY Name"
    )


def reasons(org: Org) -> list[str]:
    """Return why each parked row was not accepted."""
    return [str(row.fields["Reason__c"]) for row in parked(org)]


def drains_waiting(org: Org) -> int:
    """Return how many drains are queued: they alone have a signature."""
    return sum(job.signature is not None for job in org.queue.waiting)


class Spent:
    """What an org has used since a moment: jobs and callouts."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._jobs = len(org.async_executions)
        self._callouts = len(org.callouts)
        self._from_ms = org.clock.now_ms

    @property
    def jobs(self) -> int:
        """How many jobs ran."""
        return len(self._org.async_executions) - self._jobs

    @property
    def callouts(self) -> int:
        """How many callouts were made."""
        return len(self._org.callouts) - self._callouts

    @property
    def statuses(self) -> list[int | None]:
        """What the callouts were answered, None for nothing."""
        return [made.status_code for made in self._org.callouts[self._callouts :]]

    @property
    def minutes(self) -> list[int]:
        """The minute of each callout, counted from the moment."""
        made = self._org.callouts[self._callouts :]
        return [round((each.at_ms - self._from_ms) / MINUTE_MS) for each in made]
