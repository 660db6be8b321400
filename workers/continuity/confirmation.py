"""What becomes of suspected gaps, once there was time to fill them.

A gap is filled if what arrived meanwhile leads from the state before it to the change that showed
it. If not, and nothing is parked in the org, it is confirmed: a change made up of the two sides is
written to the history, whose id begins with `gap:`, and the rules see it as they see any. From then
on it is a change like others: rules may wait with it for a parent, it has lookups re-evaluated, and
`explain` shows it. The record has moved on since; it stays as it is.

Lock order: `gap` (nobody waits for these), `record`, then as everywhere from `change` on. A change
that comes late holds its record locked when it looks for a confirmed gap, so that either it is seen
here, or it sees the gap.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from pipeline import metrics
from pipeline.objects import Operation
from workers.continuity import GAP_ID_PREFIX, settling
from workers.continuity.links import State, links
from workers.continuity.values import differences
from workers.enrollments import fire
from workers.history import insert_history
from workers.lookups.cases import Case
from workers.lookups.errors import blames_a_row, told
from workers.lookups.evaluation import evaluate
from workers.lookups.parents import decode_stored
from workers.lookups.reevaluation import keep_reevaluations
from workers.lookups.waits import keep_waits
from workers.received import ReceivedChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import asyncpg

    from pipeline.database import Connection, Pool
    from workers.continuity.links import Link
    from workers.rule_book import RuleBook

log = structlog.get_logger()

ROWS_PER_PAGE: Final = 50
MAX_ATTEMPTS: Final = 5
_ID_DIGITS: Final = 32

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = msgspec.Raw(b"null")


class Outcomes(NamedTuple):
    """What becomes of the gaps of a page, by id, and the changes that rules are to see."""

    filled: list[int]
    postponed: list[int]
    confirmed: list[int]
    changes: list[ReceivedChange]


class Confirmation:
    """Serves the table `gap`, a page at a time."""

    def __init__(self, pool: Pool, book: RuleBook, *, parent_wait_s: float) -> None:
        self._pool = pool
        self._book = book
        self._parent_wait_s = parent_wait_s

    async def page(self) -> bool:
        """Look at a page of the gaps that are due; tell whether there were any."""
        claimed: list[int] = []
        try:
            await self._look(claimed, None)
        except Exception as error:
            if not blames_a_row(error):
                raise
            for gap_id in claimed:
                await self._look_alone(gap_id)
        return bool(claimed)

    async def _look_alone(self, gap_id: int) -> None:
        """Look at one gap, so that what fails in it is counted against it and no other."""
        try:
            await self._look([], gap_id)
        except Exception as error:
            if not blames_a_row(error):
                raise
            async with self._pool.acquire() as connection:
                failed = await settling.fail(
                    connection, gap_id, told(error), max_attempts=MAX_ATTEMPTS
                )
            if failed:
                metrics.gaps.labels("failed").inc()
                log.exception("gap_failed", gap_id=gap_id)

    async def _look(self, claimed: list[int], only: int | None) -> None:
        """Settle a page in one transaction; `claimed` tells of what, even if it fails."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await settling.claim(connection, only, ROWS_PER_PAGE)
            if not rows:
                return
            claimed += [row["gap_id"] for row in rows]
            await settling.lock_records(connection, rows)
            chains = await settling.read_chains(connection, rows)
            outcomes = _outcomes(rows, chains)
            await self._let_rules_see(connection, outcomes.changes)
            await settling.settle(connection, outcomes.filled, "filled")
            await settling.settle(connection, outcomes.confirmed, "confirmed")
            await settling.postpone(connection, outcomes.postponed)
        metrics.gaps.labels("filled").inc(len(outcomes.filled))
        metrics.gaps.labels("confirmed").inc(len(outcomes.confirmed))

    async def _let_rules_see(
        self, connection: Connection, changes: Sequence[ReceivedChange]
    ) -> None:
        new, epoch = await insert_history(connection, sorted(changes, key=lambda one: one.key))
        if epoch is None:
            return
        await self._book.turn_to(epoch, connection)
        judged = await evaluate(connection, self._book, [Case(change) for change in new])
        await keep_waits(connection, judged, wait_s=self._parent_wait_s)
        if self._book.has_climbs:
            await keep_reevaluations(connection, self._book, judged)
        await fire(connection, [fired for one in judged for fired in one.fired()])


def _outcomes(rows: Sequence[asyncpg.Record], chains: dict[int, list[ReceivedChange]]) -> Outcomes:
    outcomes = Outcomes([], [], [], [])
    for row in rows:
        changes = [_between(link, names) for link, names in _broken(row, chains[row["gap_id"]])]
        if not changes:
            outcomes.filled.append(row["gap_id"])
        elif row["is_parked"]:
            outcomes.postponed.append(row["gap_id"])
        else:
            outcomes.confirmed.append(row["gap_id"])
            outcomes.changes.extend(changes)
    return outcomes


def _broken(
    row: asyncpg.Record, chain: Sequence[ReceivedChange]
) -> Iterator[tuple[Link, list[str]]]:
    """Yield the links of a gap's chain that do not hold, with the fields that differ.

    These are fields that the gap was suspected for: what else differs by now concerned nobody then.
    A chain that begins amid its span holds no matter what was stored.

    Raises:
        LookupError: the history no longer has the change that showed the gap.
    """
    if not chain:
        raise LookupError("the history no longer has the change")
    stored = State(
        order=(row["stored_at"], row["stored_sequence"], row["stored_capture_id"]),
        transaction_id=row["stored_transaction_id"],
        deleted=False,
        fields=row["stored"].encode(),
    )
    names = msgspec.json.decode(row["fields"]).keys()
    is_whole = len(chain) < settling.CHANGES_PER_GAP
    for link in links(stored if is_whole else None, chain):
        before = decode_stored(link.before.fields)
        after = decode_stored(link.change.old or b"{}")
        if differs := differences(before, after, names.__contains__):
            yield link, list(differs)


def _between(link: Link, names: Sequence[str]) -> ReceivedChange:
    """Return the change that leads from one side of a broken link to the other.

    Nobody is its actor, and it counts as just made, however long it was waited for.
    """
    change = link.change
    before = _members.decode(link.before.fields)
    after = _members.decode(change.old or b"{}")
    new = before | {name: after.get(name, _NULL) for name in names}
    text = f"{change.capture_id}\x00{change.record_id}".encode()
    gap_id = GAP_ID_PREFIX + hashlib.sha256(text).hexdigest()[:_ID_DIGITS]
    return ReceivedChange(
        captured_at=change.captured_at,
        capture_id=gap_id,
        record_id=change.record_id,
        org_id=change.org_id,
        object=change.object,
        operation=Operation.UPDATE,
        # Just before the change that showed it.
        sequence=change.sequence - 1,
        transaction_id=gap_id,
        actor_id=None,
        callout_id=gap_id,
        received_at=change.captured_at,
        masked=True,
        old=link.before.fields,
        new=msgspec.json.encode(new),
    )
