"""Whatever order changes arrive in, however often and in whatever batches: one end state."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.objects import Operation, long_id
from tests.changes import add_org, received
from tests.salesforce import callout, now_ms

if TYPE_CHECKING:
    from random import Random

    from pipeline.database import Pool
    from workers.processor import Processor
    from workers.received import ReceivedChange

ONCE: Final = """\
rule: once
object: Lead
on: [insert, update, undelete]
when: [{field: Status, equals: A}]
then:
  - {add_to_sequence: nurture, recipient: Email, variables: {rating: Rating}}
  - {add_to_sequence: welcome, recipient: Backup}
"""
AGAIN: Final = """\
rule: again
object: Lead
on: [update]
when: [{field: Rating, changed: true}]
then:
  - add_to_sequence: nurture
    recipient: Email
    re_enroll: always
    variables: {rating: Rating}
"""
BACK: Final = """\
rule: back
object: Lead
on: [insert, update]
when: [{field: Rating, equals: Hot}]
then: [{add_to_sequence: nurture, recipient: Backup, re_enroll: after_exit}]
"""
LEFT: Final = """\
rule: left
object: Lead
on: [update]
when: [{field: Status, changed_to: B}]
then:
  - {remove_from_sequence: nurture, recipient: Email}
  - {remove_from_sequence: welcome, recipient: Backup}
"""
GONE: Final = """\
rule: gone
object: Lead
on: [delete]
when: [{field: Status, equals: B}]
then: [{add_to_sequence: win-back, recipient: Email}]
"""
RECORD_IDS: Final = tuple(long_id(f"00Q5g00000000{letter}0") for letter in "xyz")
CONTACT_ID: Final = long_id("0035g000000000c")
ORG_NUMBERS: Final = count()

records = st.fixed_dictionaries(
    {
        "Status": st.sampled_from("AB"),
        "Email": st.sampled_from(["a@x.org", "b@x.org", None]),
        "Backup": st.sampled_from(["a@x.org", "c@x.org"]),
        "Rating": st.sampled_from(["Hot", "Cold"]),
        "HasOptedOutOfEmail": st.booleans(),
        # Of a deletion: it is a merge.
        "MasterRecordId": st.sampled_from([None, None, *RECORD_IDS]),
        "ConvertedContactId": st.sampled_from([None, None, None, CONTACT_ID]),
    }
)
captures = st.lists(
    st.fixed_dictionaries(
        {
            "operation": st.sampled_from(Operation),
            "captured_at": st.integers(0, 3),
            "sequence": st.integers(0, 2),
            # Few transactions, so that some fire their rules again.
            "transaction_id": st.sampled_from(["t1", "t2", "t3"]),
            "records": st.dictionaries(
                st.sampled_from(RECORD_IDS), st.tuples(records, records), min_size=1, max_size=2
            ),
        }
    ),
    min_size=1,
    max_size=8,
)

RECORDS: Final = """
    SELECT record_id, captured_at, sequence, capture_id, deleted, fields FROM record
    WHERE org_id = $1 ORDER BY record_id"""
FIRINGS: Final = """
    SELECT transaction_id, record_id, rule, captured_at, sequence, capture_id, evidence
    FROM firing WHERE org_id = $1 ORDER BY transaction_id, record_id, rule"""
# Someone who was enrolled by a change that turned out not to count is as good as not enrolled.
ENROLLMENTS: Final = """
    SELECT enrollment.sequence, recipient, state, generation, exited_generation, reason, variables,
           rule, record_id, capture_id
    FROM enrollment JOIN firing USING (firing_id)
    WHERE enrollment.org_id = $1 ORDER BY enrollment.sequence, recipient"""
# An exit that adds followed may have been left untold, depending on the order of arrival.
OUTBOX: Final = """
    SELECT outbox.sequence, outbox.recipient, kind, outbox.generation, outbox.state
    FROM outbox JOIN enrollment USING (enrollment_id)
    WHERE outbox.org_id = $1 AND outbox.generation <= enrollment.generation
      AND (kind = 'add' OR outbox.generation = enrollment.generation
                       AND outbox.generation = exited_generation)
    ORDER BY outbox.sequence, outbox.recipient, outbox.generation, kind"""
OPT_OUTS: Final = """
    SELECT record_id, address, opted_out, bounced, captured_at, sequence, capture_id
    FROM opt_out WHERE org_id = $1 ORDER BY record_id"""

COPY_RULES: Final = """
    INSERT INTO rule (org_id, rule, version, object, state, source)
    SELECT $2, rule, version, object, state, source FROM rule WHERE org_id = $1"""


def history(given_: list[dict[str, Any]], org_id: str, at: int) -> list[ReceivedChange]:
    return received(*(_capture(number, one, org_id, at) for number, one in enumerate(given_)))


def _capture(number: int, one: dict[str, Any], org_id: str, at: int) -> dict[str, Any]:
    operation = one["operation"]
    has_old = operation in {Operation.UPDATE, Operation.DELETE}
    changes = [
        {
            "old": {"Id": record_id, **old} if has_old else None,
            "new": {"Id": record_id, **new} if operation is not Operation.DELETE else None,
        }
        for record_id, (old, new) in one["records"].items()
    ]
    return callout(
        changes,
        org_id=org_id,
        operation=operation.value,
        capture_id=f"capture-{number}",
        transaction_id=one["transaction_id"],
        sequence=one["sequence"],
        captured_at=at + one["captured_at"],
    )


async def new_org(pool: Pool) -> str:
    """Register an org with the rules of the first one: applying them again takes its time."""
    org_id = long_id(f"00D5g{next(ORG_NUMBERS):010}")
    first = await pool.fetchval("SELECT min(org_id) FROM rule")
    if first is None:
        await add_org(pool, org_id, ONCE, AGAIN, BACK, LEFT, GONE)
        return org_id
    await add_org(pool, org_id)
    await pool.execute(COPY_RULES, first, org_id)
    return org_id


async def end_state(pool: Pool, org_id: str) -> list[list[tuple[object, ...]]]:
    queries = (RECORDS, FIRINGS, ENROLLMENTS, OUTBOX, OPT_OUTS)
    return [[tuple(row) for row in await pool.fetch(query, org_id)] for query in queries]


@settings(
    max_examples=40,
    deadline=None,
    # Shrinking a history would take longer than a test may.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # The database is one for all examples: each has orgs of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(captures, st.randoms(use_true_random=False))
async def test_any_order_any_duplicates_and_any_batches_end_in_the_same_state(
    pool: Pool, processor: Processor, given_: list[dict[str, Any]], random: Random
) -> None:
    at = now_ms() - 10_000
    straight, shuffled = await new_org(pool), await new_org(pool)

    in_order = sorted(history(given_, straight, at), key=lambda change: change.order)
    for change in in_order:
        await processor.process([change])

    arriving = history(given_, shuffled, at) * 2
    random.shuffle(arriving)
    while arriving:
        size = random.randint(1, len(arriving))
        await processor.process(arriving[:size])
        del arriving[:size]

    assert await end_state(pool, shuffled) == await end_state(pool, straight)
