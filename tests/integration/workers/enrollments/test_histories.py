"""Whatever happens to records, and however it arrives: the enrolments that the fold says."""

from __future__ import annotations

import asyncio
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.objects import Operation, SObject, long_id
from rules import ReEnroll
from tests.integration.workers.enrollments.acts import CONTACT, LEADS, change, matches, process
from workers.enrollments import recheck_ends
from workers.enrollments.fold import Added, Ended, EndKind, Removed, fold

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.enrollments.fold import Event, Folded
    from workers.received import ReceivedChange

ORG_NUMBERS: Final = count()
RECORDS: Final = (*LEADS, CONTACT)
ENROLLMENTS: Final = """
    SELECT recipient, state, generation, exited_generation, reason, variables->>'of' AS variable,
           rule, record_id, capture_id
    FROM enrollment JOIN firing USING (firing_id)
    WHERE enrollment.org_id = $1 ORDER BY recipient"""
# An exit that adds followed may have been left untold, depending on the order of arrival.
OUTBOX: Final = """
    SELECT outbox.recipient, kind, outbox.generation, outbox.state
    FROM outbox JOIN enrollment USING (enrollment_id)
    WHERE outbox.org_id = $1 AND outbox.generation <= enrollment.generation
      AND (kind = 'add' OR outbox.generation = enrollment.generation
                       AND outbox.generation = exited_generation)
    ORDER BY outbox.recipient, outbox.generation, kind"""


class Step(NamedTuple):
    """One capture of one record."""

    operation: str
    at: int
    sequence: int
    transaction: str
    record_id: str
    other_id: str
    acts: list[dict[str, Any]]


acts = st.lists(
    st.fixed_dictionaries(
        {
            "rule": st.sampled_from(["r", "s"]),
            "kind": st.sampled_from(["add", "add", "exit"]),
            "recipient": st.sampled_from(["a@x.org", "a@x.org", "b@x.org"]),
            "re_enroll": st.sampled_from([one.value for one in ReEnroll]),
        }
    ),
    max_size=2,
)
steps = st.lists(
    st.builds(
        Step,
        operation=st.sampled_from(
            ["insert", "update", "update", "delete", "merge", "convert", "undelete"]
        ),
        at=st.integers(0, 5),
        sequence=st.integers(0, 1),
        # Few transactions, so that some fire their rules again.
        transaction=st.sampled_from(["t1", "t2", "t3", "t4"]),
        record_id=st.sampled_from(RECORDS),
        other_id=st.sampled_from(RECORDS),
        acts=acts,
    ),
    min_size=1,
    max_size=12,
)


def history(given_: list[Step], org_id: str) -> list[ReceivedChange]:
    return [_capture(number, step, org_id) for number, step in enumerate(given_)]


def _capture(number: int, step: Step, org_id: str) -> ReceivedChange:
    own = [{**act, "variables": {"of": number}} for act in step.acts]
    fields: dict[str, Any] = {}
    operation = step.operation
    if operation == "merge":
        operation, fields = "delete", {"MasterRecordId": step.other_id}
    elif operation == "convert":
        operation, fields = "update", {"ConvertedContactId": step.other_id}
    return change(
        step.at,
        *own,
        record_id=step.record_id,
        operation=Operation(operation),
        object_=SObject.CONTACT if step.record_id == CONTACT else SObject.LEAD,
        sequence=step.sequence,
        capture_id=f"capture-{number}",
        transaction_id=step.transaction,
        org_id=org_id,
        **fields,
    )


def expected(changes: list[ReceivedChange]) -> list[tuple[object, ...]]:
    """Say from the changes alone who is enrolled, in the terms of `ENROLLMENTS`."""
    first: dict[tuple[str, str, str], ReceivedChange] = {}
    for one in sorted(changes, key=lambda one: one.order):
        for match in matches(one):
            first.setdefault((one.transaction_id, one.record_id, match.rule), one)
    events: dict[str, list[Event]] = {}
    told: dict[Event, object] = {}
    for (_, record_id, rule), one in first.items():
        (match,) = (match for match in matches(one) if match.rule == rule)
        acts_ = [a for a in msgspec.json.decode(one.state)["Acts"] if a["rule"] == rule]
        for action, act in enumerate(acts_):
            place = (*one.order, rule, action, record_id)
            event: Event = (
                Added(*place, 0, ReEnroll(act["re_enroll"]), match.ceiling)
                if act["kind"] == "add"
                else Removed(*place)
            )
            told[event] = f"{act['variables']['of']}"
            events.setdefault(act["recipient"], []).append(event)
    ends = [end for one in changes if (end := _end(one))]
    return [
        _row(recipient, folded, told)
        for recipient, own in sorted(events.items())
        if (folded := fold(own, ends)).decided_by is not None
    ]


def _end(one: ReceivedChange) -> Ended | None:
    fields = msgspec.json.decode(one.state)
    if one.operation is Operation.DELETE:
        master = fields.get("MasterRecordId")
        if master in {None, one.record_id}:
            return Ended(*one.order, one.record_id, EndKind.DELETED, None)
        return Ended(*one.order, one.record_id, EndKind.MERGED, master)
    contact = fields.get("ConvertedContactId")
    if one.object is not SObject.LEAD or contact in {None, one.record_id}:
        return None
    return Ended(*one.order, one.record_id, EndKind.CONVERTED, contact)


def _row(recipient: str, folded: Folded, told: dict[Event, object]) -> tuple[object, ...]:
    standing, decided_by = folded.standing, folded.decided_by
    assert decided_by is not None
    return (
        recipient,
        "pending" if standing.is_enrolled else "exited",
        *standing[:3],
        told[decided_by],
        decided_by.rule,
        decided_by.record_id,
        decided_by.capture_id,
    )


async def end_state(pool: Pool, org_id: str) -> list[list[tuple[object, ...]]]:
    return [[tuple(row) for row in await pool.fetch(q, org_id)] for q in (ENROLLMENTS, OUTBOX)]


def new_org() -> str:
    return long_id(f"00D5g{next(ORG_NUMBERS):010}")


@settings(
    max_examples=60,
    deadline=None,
    # Shrinking a history would take longer than a test may.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # The database is one for all examples: each has orgs of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps, st.randoms(use_true_random=False))
async def test_any_order_any_duplicates_and_any_batches_end_in_what_the_fold_says(
    pool: Pool, given_: list[Step], random: Random
) -> None:
    straight, shuffled = new_org(), new_org()
    in_order = sorted(history(given_, straight), key=lambda one: one.order)
    for one in in_order:
        await process(pool, one)
    assert (await end_state(pool, straight))[0] == expected(in_order)

    arriving = history(given_, shuffled) * 2
    random.shuffle(arriving)
    while arriving:
        size = random.randint(1, len(arriving))
        await process(pool, *arriving[:size])
        del arriving[:size]
    assert await end_state(pool, shuffled) == await end_state(pool, straight)


def crowd(org_id: str, seed: int) -> list[ReceivedChange]:
    """Return a busy hour of few records, who share few addresses."""
    random = Random(seed)
    operations = ["update"] * 6 + ["delete", "merge", "convert", "undelete"]
    given_ = [
        Step(
            random.choice(operations),
            random.randint(0, 40),
            random.randint(0, 1),
            f"t{random.randint(0, 60)}",
            random.choice(RECORDS),
            random.choice(RECORDS),
            [
                {
                    "rule": random.choice("rs"),
                    "kind": random.choice(["add", "add", "exit"]),
                    "recipient": f"{random.choice('abcdef')}@x.org",
                    "re_enroll": random.choice([one.value for one in ReEnroll]),
                }
                for _ in range(random.randint(0, 2))
            ],
        )
        for _ in range(120)
    ]
    return history(given_, org_id)


async def _work(pool: Pool, changes: list[ReceivedChange], seed: int) -> None:
    random = Random(seed)
    mine = list(changes)
    random.shuffle(mine)
    while mine:
        size = random.randint(1, 15)
        # A deadlock would be raised: nobody tries again here.
        await process(pool, *mine[:size])
        del mine[:size]
        async with pool.acquire() as connection:
            await recheck_ends(connection, 5)


async def test_workers_at_once_neither_deadlock_nor_miss_each_other(pool: Pool) -> None:
    for round_ in range(5):
        org_id = new_org()
        changes = crowd(org_id, round_)
        await asyncio.gather(*(_work(pool, changes, round_ * 10 + worker) for worker in range(4)))
        await pool.execute("UPDATE record_end SET swept_at = NULL WHERE NOT settled")
        async with pool.acquire() as connection:
            await recheck_ends(connection, 1000)
        assert (await end_state(pool, org_id))[0] == expected(changes)
