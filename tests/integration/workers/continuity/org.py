"""A lead whose status moves, told by changes some of which never come."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from tests.changes import add_org, inserted, lead, received, updated
from tests.salesforce import ORG_ID, now_ms
from workers.continuity.confirmation import Confirmation
from workers.rule_book import RuleBook

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

# It sees a transition, not a state: what nobody saw change fires nothing.
RULE: Final = """\
rule: qualified
object: Lead
on: [update]
when: [{field: Status, changed_to: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email}]
"""


class Lead:
    """A lead that was Open, then Working, then Qualified, then Lost, a second each.

    Its org watches `Status` from before that; so the times lie a little ahead.
    """

    def __init__(self) -> None:
        self.at = now_ms() + 60_000
        statuses = ["Open", "Working", "Qualified", "Lost"]
        self.created = self._one(inserted(self.state("Open"), captured_at=self.at))
        self.working, self.qualified, self.lost = (
            self.step(old, new, self.at + 1000 * number)
            for number, (old, new) in enumerate(pairwise(statuses), start=1)
        )

    @staticmethod
    def state(status: str, **fields: Any) -> dict[str, Any]:
        return lead(Status=status, **fields)

    def step(self, old: str, new: str, at: int, **keys: Any) -> ReceivedChange:
        return self._one(updated(self.state(old), self.state(new), captured_at=at, **keys))

    @staticmethod
    def _one(callout: object) -> ReceivedChange:
        (change,) = received(callout)
        return change


async def add_watching_org(pool: Pool) -> None:
    await add_org(pool, ORG_ID, RULE)


async def gaps(pool: Pool) -> list[tuple[str, str]]:
    """Return (state, fields) of every gap, in the order of the changes that showed them."""
    rows = await pool.fetch("SELECT state, fields::text FROM gap ORDER BY captured_at, capture_id")
    return [(row["state"], row["fields"]) for row in rows]


async def fired(pool: Pool) -> list[str]:
    """Return the captures that fired the rule, in their order."""
    rows = await pool.fetch("SELECT capture_id FROM firing ORDER BY captured_at, sequence")
    return [row["capture_id"] for row in rows]


async def come_due(pool: Pool) -> None:
    """Let the time pass that a gap may be filled in."""
    await pool.execute("UPDATE gap SET due_at = clock_timestamp()")


async def confirm(pool: Pool) -> None:
    """Look at all gaps that are due."""
    confirmation = Confirmation(pool, RuleBook(), parent_wait_s=600.0)
    while await confirmation.page():
        pass
