"""The trail of a change, a record, an enrolment: what each rule made of it, what followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import conditions
from ops.commands.explain_lines import change_lines, enrollment_lines, record_lines
from ops.explanation import (
    ChangeTrail,
    Outcome,
    explain_capture,
    explain_enrollment_whole,
    explain_record,
)
from ops.runtime import printable
from pipeline.objects import long_id
from pipeline.settings import Worker
from tests.changes import (
    QUALIFIED_RULE,
    add_org,
    apply_rules,
    inserted,
    lead,
    received,
    updated,
)
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID, callout, now_ms
from workers.lookups.sweep import Sweep
from workers.processor import Processor
from workers.relay import outbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection, Pool

OWNER_ID = long_id("0055g00000Owner")
ACTIVE_OWNER_RULE = """\
rule: owned
object: Lead
on: [insert, update]
when:
  - any:
      - {field: Rating, equals: Hot}
      - {field: Owner.Department, equals: Sales}
  - {field: Status, changed_to: Qualified}
then: [{add_to_sequence: owned, recipient: Email}]
"""
LOST_RULE = """\
rule: lost
object: Lead
on: [update]
when: [{field: Status, changed_to: Lost}]
then:
  - {remove_from_sequence: nurture, recipient: Email}
  - {webhook: "https://example.com/lost", fields: {status: Status}}
"""


@pytest.fixture
async def pool(pool: Pool) -> Pool:
    await add_org(pool)
    return pool


async def process(pool: Pool, *callouts: object) -> None:
    await Processor(pool, retention_days=90).process(received(*callouts))


async def only_change(connection: Connection, name: str) -> ChangeTrail:
    (found,) = await explain_capture(connection, name, None)
    return found


def outcomes(found: ChangeTrail) -> dict[str, Outcome]:
    return {rule.rule: rule.outcome for rule in found.rules}


def shown(lines: Iterable[str]) -> str:
    """Return lines as the command prints them, which are what a terminal of 100 columns shows."""
    text = [printable(line) for line in lines]
    assert all(len(line) <= 100 for line in text)
    return "\n".join(text)


async def test_each_rule_of_the_object_says_why_it_fired_or_did_not(
    connection: Connection, pool: Pool
) -> None:
    rules = (
        QUALIFIED_RULE,
        QUALIFIED_RULE.replace("qualified-to", "deleted-to").replace(
            "[insert, update, undelete]", "[delete]"
        ),
        QUALIFIED_RULE.replace("qualified-to", "open-to").replace("Qualified}", "Open}"),
        QUALIFIED_RULE.replace("qualified-to", "quick-to").replace("then:", "max_age: 1m\nthen:"),
        QUALIFIED_RULE.replace("object: Lead", "object: Contact").replace("qualified", "contact"),
    )
    await apply_rules(pool, ORG_ID, *rules)
    text = "esc \x1b[31m " + "x" * 300
    before, after = lead(Status="Open", City="Köln"), lead(City=text)
    late = updated(before, after, capture_id="late", captured_at=now_ms() - 3_600_000)
    await process(pool, late)

    found = await only_change(connection, "late")
    assert outcomes(found) == {
        "qualified-to-nurture": Outcome.FIRED,
        "deleted-to-nurture": Outcome.OTHER_OPERATION,
        "open-to-nurture": Outcome.NOT_MATCHED,
        "quick-to-nurture": Outcome.TOO_OLD,
    }
    by_rule = {rule.rule: rule for rule in found.rules}
    fired = by_rule["qualified-to-nurture"]
    assert [condition.reads for condition in fired.conditions] == [
        "Status 'Qualified' equals 'Qualified'"
    ]
    (effect,) = fired.effects
    assert (effect.kind, effect.recipient, effect.enrollment_id) == ("add", "ana@example.com", 1)
    (clause,) = by_rule["open-to-nurture"].clauses
    assert (clause.verdict, clause.reads) == (False, "Status 'Qualified' does not equal 'Open'")
    # What rules read comes first, and is what an update alone would have been sent for.
    assert [(one.field, one.watched) for one in found.differences] == [
        ("Status", True),
        ("City", False),
    ]
    assert [stage.stage for stage in found.stages] == [
        "captured in Salesforce",
        "received by ingest",
        "persisted by a worker",
    ]
    told = shown(change_lines(found))
    assert "\x1b" not in told
    assert "x" * 101 not in told
    assert "quick-to-nurture (version 1): too old - 3,600 s old on arrival" in told


async def test_changes_of_the_sync_user_are_passed_over_and_said_to_be(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    await process(pool, inserted(lead(), actor_id=SYNC_USER_ID, capture_id="own"))
    found = await only_change(connection, f"own/{LEAD_ID[:15]}")
    assert found.by_sync_user
    assert outcomes(found) == {"qualified-to-nurture": Outcome.SYNC_USER}
    assert "yes Status 'Qualified' equals 'Qualified'" in shown(change_lines(found))


async def test_a_change_is_judged_by_the_versions_that_were_active_then(
    connection: Connection, pool: Pool
) -> None:
    await process(pool, inserted(lead(), capture_id="before"))
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    await process(pool, inserted(lead(), capture_id="first"))
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE.replace("Qualified}", "Open}"))
    await process(pool, inserted(lead(), capture_id="second"))

    assert (await only_change(connection, "before")).rules == []
    (first,) = (await only_change(connection, "first")).rules
    assert (first.version, first.outcome) == (1, Outcome.FIRED)
    (second,) = (await only_change(connection, "second")).rules
    assert (second.version, second.outcome) == (2, Outcome.NOT_MATCHED)


async def test_a_transaction_fires_a_rule_once_and_its_other_change_says_by_which(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    at = now_ms()
    for sequence, capture_id in enumerate(("trigger", "workflow")):
        await process(
            pool,
            updated(
                lead(Status="Open"),
                lead(Rating=capture_id),
                capture_id=capture_id,
                captured_at=at,
                sequence=sequence,
                transaction_id="one",
            ),
        )
    assert outcomes(await only_change(connection, "trigger")) == {
        "qualified-to-nurture": Outcome.FIRED
    }
    found = await only_change(connection, "workflow")
    assert outcomes(found) == {"qualified-to-nurture": Outcome.FIRED_BY_ANOTHER_CHANGE}
    assert found.rules[0].why.endswith("by capture trigger")


async def test_a_rule_that_waits_for_a_parent_says_for_which_and_until_when(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, ACTIVE_OWNER_RULE)
    owned = lead(OwnerId=OWNER_ID, Rating="Cold")
    await process(pool, inserted(owned, capture_id="waits"))
    found = await only_change(connection, "waits")
    (rule,) = found.rules
    assert rule.outcome is Outcome.WAITING
    assert rule.wait is not None
    assert rule.wait.parents == [OWNER_ID]
    told = shown(change_lines(found))
    assert f"it waits for {OWNER_ID} since" in told
    assert "\n        ?   Owner.Department (empty) does not equal 'Sales'" in told

    await connection.execute("UPDATE waiting SET state = 'expired'")
    (rule,) = (await only_change(connection, "waits")).rules
    assert rule.outcome is Outcome.WAITED_IN_VAIN


async def test_a_record_that_was_judged_again_names_the_change_that_made_it_matter(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, ACTIVE_OWNER_RULE.replace("changed_to", "equals"))

    async def user(department: str, old: str | None, capture_id: str) -> None:
        new = {"Id": OWNER_ID, "Department": department}
        before = None if old is None else {"Id": OWNER_ID, "Department": old}
        operation = "insert" if old is None else "update"
        await process(
            pool,
            callout(
                [{"old": before, "new": new}],
                object="User",
                operation=operation,
                capture_id=capture_id,
            ),
        )

    await user("IT", None, "hired")
    await process(pool, inserted(lead(OwnerId=OWNER_ID), capture_id="lead"))
    (rule,) = (await only_change(connection, "lead")).rules
    assert rule.outcome is Outcome.NOT_MATCHED
    await user("Sales", "IT", "moved")
    sweep = Sweep(pool, Worker())
    for _ in range(20):
        await sweep.once()
        if await connection.fetchval("SELECT count(*) FROM firing"):
            break

    moved = await only_change(connection, "moved")
    assert [(one.rule, one.record_id) for one in moved.caused] == [("owned", LEAD_ID)]
    (rule,) = (await only_change(connection, "lead")).rules
    # Asked today the owner is in Sales; that is not what the rule saw.
    assert rule.outcome is Outcome.MATCHES_TODAY
    trail = await explain_enrollment_whole(connection, 1)
    assert (trail.cause_record_id, trail.capture_id) == (OWNER_ID, "moved")
    assert trail.operation == "update"
    assert trail.change is not None
    assert [one.field for one in trail.change.differences] == ["Department"]
    assert f"(judged again for the change of {OWNER_ID})" in shown(enrollment_lines(trail))


async def test_an_enrolment_tells_of_exits_and_of_what_the_target_said(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE, LOST_RULE)
    await process(pool, inserted(lead(), capture_id="in"))
    (claim,) = await outbox.claim(pool, limit=1, lease_s=60)
    await outbox.delivered(pool, claim)
    await process(pool, updated(lead(), lead(Status="Lost"), capture_id="out"))
    await connection.execute(
        "INSERT INTO suppression (value, reason) VALUES ('example.com', 'a rival')"
    )

    trail = await explain_enrollment_whole(connection, 1)
    assert (trail.state, trail.reason) == ("exited", "exited: rule lost")
    assert [(event.kind, event.rule) for event in trail.events] == [
        ("add", "qualified-to-nurture"),
        ("exit", "lost"),
    ]
    assert [(row.kind, row.state, row.attempts) for row in trail.outbox] == [
        ("add", "delivered", 1),
        ("exit", "open", 0),
    ]
    assert trail.holds == ["example.com is on the suppression list: a rival"]
    told = shown(enrollment_lines(trail))
    assert "exit of generation 1 to webhook: not delivered yet, 0 attempts, due " in told
    assert "reason: exited: rule lost" in told

    (change,) = await explain_capture(connection, "out", None)
    (lost,) = [rule for rule in change.rules if rule.rule == "lost"]
    assert [(call.url, call.state) for call in lost.calls] == [("https://example.com/lost", "open")]
    assert [effect.kind for effect in lost.effects] == ["exit"]


async def test_a_record_shows_its_newest_changes_its_end_and_whom_it_enrolled(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    at = now_ms()
    await process(pool, inserted(lead(), captured_at=at, capture_id="one"))
    await process(pool, updated(lead(), lead(Rating="Hot"), captured_at=at + 1, capture_id="two"))
    gone = callout(
        [{"old": lead(Rating="Hot"), "new": None}],
        operation="delete",
        captured_at=at + 2,
        capture_id="three",
    )
    await process(pool, gone)

    found = await explain_record(connection, LEAD_ID[:15], None, limit=2)
    assert [change.capture_id for change in found.changes] == ["two", "three"]
    assert [(end.kind, end.captured_at) for end in found.ends] == [("deleted", at + 2)]
    assert [(one.id, one.state) for one in found.enrollments] == [(1, "exited")]
    told = shown(record_lines(found))
    assert told.startswith(f"Lead {LEAD_ID} (deleted)\n")
    assert "enrolment 1: ana@example.com in 'nurture', exited" in told


async def test_odd_characters_and_numbers_come_through(connection: Connection, pool: Pool) -> None:
    odd = f'{{"Id": "{LEAD_ID}", "Name": "\\ud83d\\u0000", "Worth": 1{"0" * 30}}}'
    await process(pool, updated(lead(), msgspec.Raw(odd.encode()), capture_id="odd"))
    found = await only_change(connection, "odd")
    by_field = {one.field: one for one in found.differences}
    assert bytes(by_field["Name"].new) == b'"\\ud83d\\u0000"'
    assert bytes(by_field["Worth"].new) == b"1" + b"0" * 30


async def test_an_admins_own_fields_count_as_watched(connection: Connection, pool: Pool) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    await conditions.watch(connection, ORG_ID, ["Lead.City"])
    await process(pool, updated(lead(), lead(City="Bonn", Fax="1"), capture_id="moved"))
    found = await only_change(connection, "moved")
    assert [(one.field, one.watched) for one in found.differences] == [
        ("City", True),
        ("Fax", False),
    ]


async def test_of_many_fields_that_nobody_watches_only_the_first_are_printed(
    connection: Connection, pool: Pool
) -> None:
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    many = {f"Field{number}__c": str(number) for number in range(30)}
    await process(pool, updated(lead(Status="New"), lead(**many), capture_id="wide"))
    found = await only_change(connection, "wide")
    lines = list(change_lines(found))
    assert len(found.differences) == 31
    assert sum("(not watched)" in line for line in lines) == 8
    assert "  - and 22 more that are not watched" in lines
    assert any("Status changed" in line for line in lines)
