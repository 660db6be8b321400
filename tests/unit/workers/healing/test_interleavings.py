"""Live edits, readings and deliveries in whatever order: the store ends where the org is.

A model of an org with one record. Its transactions run one after another, since each holds the
record locked: the trigger runs, and up to 10 minutes later the transaction commits. Some have no
trigger. A reading sees what was committed by then. What is sent arrives in any order, repeatedly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.objects import Operation
from tests.changes import received
from tests.salesforce import LEAD_ID, callout
from tests.snapshots import datetime_of
from tests.unit.workers.healing.test_reading import AT
from workers.healing.reading import SETTLED_AFTER_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.received import ReceivedChange

MAX_TRANSACTION_MS: Final = 600_000


class Transaction(NamedTuple):
    """What one transaction does to the record: `status` is its state after it, None if gone."""

    operation: Operation
    status: str | None
    triggered_at: int
    committed_at: int
    has_trigger: bool


class Plan(NamedTuple):
    """A transaction to come: after how long, for how long (ms), and what if there is a choice."""

    pause_ms: int
    duration_ms: int
    removes: bool
    has_trigger: bool


class Look(NamedTuple):
    """A reading `after_ms` of the trigger, or of the commit, of a transaction: a load or a resend.

    `place` is a share of all transactions, in percent.
    """

    place: int
    after_ms: int
    of_commit: bool
    is_resend: bool


class Stored(NamedTuple):
    """The record as `record` holds it."""

    order: tuple[int, int, str]
    status: str | None


# At the edges of a millisecond, of a second, of the longest transaction and of the settling time.
spans = st.one_of(
    st.sampled_from([1, 2, 999, 1000, 1001, 299_999, 300_000, 300_001, 899_999, 900_000, 900_001]),
    st.integers(1, 1_000_000),
)
durations = st.one_of(st.sampled_from([0, 1, 999, 1000, 599_999]), st.integers(0, 599_999))
looks = st.builds(
    Look, st.integers(0, 99), st.just(0) | spans, of_commit=st.booleans(), is_resend=st.booleans()
)


def plans(*, all_have_triggers: bool) -> st.SearchStrategy[list[Plan]]:
    has_trigger = st.just(True) if all_have_triggers else st.booleans()
    plan = st.builds(Plan, spans, durations, removes=st.booleans(), has_trigger=has_trigger)
    return st.lists(plan, min_size=1, max_size=6)


def run(planned: Iterable[Plan], start: int) -> list[Transaction]:
    """Run transactions one after another; the first one creates the record."""
    done: list[Transaction] = []
    exists, committed_at = False, AT + start
    for number, plan in enumerate(planned):
        removes = exists and plan.removes
        if exists:
            operation = Operation.DELETE if removes else Operation.UPDATE
        else:
            operation = Operation.UNDELETE if done else Operation.INSERT
        exists = not removes
        triggered_at = committed_at + plan.pause_ms
        committed_at = triggered_at + plan.duration_ms
        status = f"state {number}" if exists else None
        done.append(Transaction(operation, status, triggered_at, committed_at, plan.has_trigger))
    return done


def record(status: str | None, triggered_at: int) -> dict[str, Any]:
    modstamp = datetime_of(triggered_at)
    return {"Id": LEAD_ID, "Status": status, "SystemModstamp": modstamp}


def told(done: Sequence[Transaction]) -> list[ReceivedChange]:
    """Return what the triggers send."""
    callouts = []
    before = None
    for number, one in enumerate(done):
        old: dict[str, Any] | None = None if before is None else record(before, 0)
        new = None if one.status is None else record(one.status, one.triggered_at)
        body = callout(
            [{"old": old if one.operation is not Operation.UNDELETE else None, "new": new}],
            operation=one.operation.value,
            captured_at=one.triggered_at,
            # As random ids are, in no order.
            capture_id=f"{(number * 7) % 10}-capture",
        )
        if one.has_trigger:
            callouts.append(body)
        before = one.status
    return received(*callouts)


def read(done: Sequence[Transaction], read_at: int, *, is_resend: bool) -> list[ReceivedChange]:
    """Return what a reading sends. A load says nothing of what is not there."""
    seen = [one for one in done if one.committed_at <= read_at]
    if seen and seen[-1].status is not None:
        change: dict[str, Any] = {"new": record(seen[-1].status, seen[-1].triggered_at)}
    elif is_resend:
        change = {"old": {"Id": LEAD_ID, "absent": "deleted" if seen else "not found"}}
    else:
        return []
    page = f"page-{read_at % 7}"
    keys = {"capture_id": page, "captured_at": read_at, "read_at": read_at}
    return received(callout([change], operation="snapshot", **keys))


def look_at(done: Sequence[Transaction], looked: Iterable[Look]) -> list[ReceivedChange]:
    found = []
    for look in looked:
        at = done[look.place * len(done) // 100]
        moment = at.committed_at if look.of_commit else at.triggered_at
        found += read(done, moment + look.after_ms, is_resend=look.is_resend)
    return found


def keep(stored: Stored | None, change: ReceivedChange) -> Stored | None:
    """Let the last writer win, as `upsert_records` and `keep_absences` do."""
    if stored is None and change.is_absent:
        return None
    if stored is not None and change.order <= stored.order:
        return stored
    is_gone = change.is_absent or change.operation is Operation.DELETE
    status = None if is_gone else msgspec.json.decode(change.state)["Status"]
    return Stored(change.order, status)


def end_of(deliveries: Iterable[ReceivedChange]) -> str | None:
    stored: Stored | None = None
    for change in deliveries:
        stored = keep(stored, change)
    return None if stored is None else stored.status


@st.composite
def shuffled(draw: st.DrawFn, sent: Sequence[ReceivedChange]) -> list[ReceivedChange]:
    """Deliver everything once, and some of it again."""
    again = draw(st.lists(st.sampled_from(sent), max_size=4)) if sent else []
    return draw(st.permutations([*sent, *again]))


@settings(max_examples=150, deadline=None)
@given(plans(all_have_triggers=True), st.integers(0, 999), st.lists(looks, max_size=5), st.data())
def test_while_every_change_is_told_no_reading_whenever_it_comes_leads_the_store_astray(
    planned: list[Plan], start: int, looked: list[Look], data: st.DataObject
) -> None:
    done = run(planned, start)
    readings = look_at(done, looked)
    event(f"{len(readings)} readings of {len(done)} transactions")

    deliveries = data.draw(shuffled([*told(done), *readings]))

    assert end_of(deliveries) == done[-1].status


@settings(max_examples=150, deadline=None)
@given(
    plans(all_have_triggers=False),
    st.integers(0, 999),
    st.lists(looks, max_size=5),
    st.integers(0, 2000),
    st.data(),
)
def test_what_no_trigger_told_is_mended_by_a_resend_read_15_minutes_after_it(
    planned: list[Plan], start: int, looked: list[Look], late_ms: int, data: st.DataObject
) -> None:
    done = run(planned, start)
    read_at = done[-1].committed_at + SETTLED_AFTER_MS + late_ms
    resend = read(done, read_at, is_resend=True)
    event(f"the record ends {'gone' if resend[0].is_absent else 'there'}")

    deliveries = data.draw(shuffled([*told(done), *look_at(done, looked), *resend]))
    # Of a record that was never stored there is nothing to mend: it is asked for once it is.
    first = next((one for one in deliveries if not one.is_absent), None)
    deliveries = [first, *deliveries] if first is not None else deliveries

    assert end_of(deliveries) == done[-1].status
