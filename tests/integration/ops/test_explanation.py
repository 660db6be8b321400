"""Everything about one enrolment: the rule, the change, the values, each stage's time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import dead_letters, enrollments, records
from ops.dead_letters import DeadFilter
from ops.errors import OpsError
from ops.explanation import explain_enrollment
from pipeline.database import open_pool
from pipeline.objects import SObject
from pipeline.settings import Database, Secret
from tests.changes import (
    OTHER_ORG_ID,
    QUALIFIED_RULE,
    add_org,
    apply_rules,
    inserted,
    lead,
    received,
    updated,
)
from tests.salesforce import LEAD_ID, ORG_ID, now_ms
from workers.processor import Processor
from workers.relay import outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection, Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url)), "test") as opened:
        await add_org(opened, ORG_ID, QUALIFIED_RULE)
        yield opened


async def process(pool: Pool, *callouts: object) -> None:
    await Processor(pool, retention_days=90).process(received(*callouts))


async def test_an_enrolment_is_explained_from_capture_to_delivery(
    connection: Connection, pool: Pool
) -> None:
    at = now_ms()
    await process(
        pool, updated(lead(Status="Open"), lead(), capture_id="why", captured_at=at, sequence=2)
    )
    (claim,) = await outbox.claim(pool, limit=1, lease_s=60)
    await outbox.delivered(pool, claim)

    (row,) = await enrollments.listing(connection, org_id=ORG_ID, sequence=None, limit=10)
    told = await explain_enrollment(connection, row.id)
    assert (told.rule, told.rule_version, told.operation) == ("qualified-to-nurture", 1, "update")
    assert (told.capture_id, told.callout_id, told.record_id) == ("why", "msg_0", LEAD_ID)
    assert (told.state, told.delivery, told.attempts) == ("active", "delivered", 1)
    assert [condition.reads for condition in told.conditions] == [
        "Status 'Qualified' equals 'Qualified'"
    ]
    times = [stage.at for stage in told.stages]
    assert [stage.stage for stage in told.stages[:6]] == [
        "captured in Salesforce",
        "received by ingest",
        "persisted by a worker",
        "rule fired",
        "put into the outbox",
        "enrolled",
    ]
    assert told.stages[-1].stage == "settled by the relay"
    # Database and test run on one clock, whose reading is rounded.
    assert all(late - early > -2 for early, late in pairwise(times[1:]))


async def test_without_history_an_enrolment_is_still_explained(
    connection: Connection, pool: Pool
) -> None:
    await process(pool, inserted(lead(Email="bo@x.org", Status="Qualified")))
    await connection.execute("TRUNCATE change")
    told = await explain_enrollment(connection, 1)
    assert (told.rule, told.operation, told.callout_id) == ("qualified-to-nurture", None, None)
    assert all(stage.since_received_ms is None for stage in told.stages)
    with pytest.raises(OpsError, match="there is no enrolment 2"):
        await explain_enrollment(connection, 2)


async def test_a_condition_that_decided_by_not_holding_is_marked(
    connection: Connection, pool: Pool
) -> None:
    rule = QUALIFIED_RULE.replace(
        "when: [{field: Status, equals: Qualified}]",
        "when: [{not: {field: Status, equals: Open}}, {field: Status, is_set: true}]",
    )
    await apply_rules(pool, ORG_ID, rule)
    await process(pool, inserted(lead()))
    told = await explain_enrollment(connection, 1)
    assert [(condition.reads, condition.negated) for condition in told.conditions] == [
        ("Status 'Qualified' does not equal 'Open'", True),
        ("Status is set, to 'Qualified'", False),
    ]


async def test_listings_keep_orgs_and_limits_apart(connection: Connection, pool: Pool) -> None:
    await add_org(pool, OTHER_ORG_ID, QUALIFIED_RULE)
    for number, org_id in enumerate((ORG_ID, OTHER_ORG_ID, ORG_ID)):
        person = lead(Email=f"{number}@x.org")
        await process(pool, inserted(person, org_id=org_id))
        await process(pool, inserted(person, org_id=org_id, captured_at=1))

    found = await enrollments.listing(connection, org_id=ORG_ID, sequence="nurture", limit=9)
    assert [row.recipient for row in found] == ["0@x.org", "2@x.org"]
    found = await enrollments.listing(connection, org_id=None, sequence=None, limit=2)
    assert [row.recipient for row in found] == ["0@x.org", "1@x.org"]
    dead = await dead_letters.listing(connection, DeadFilter(org_id=OTHER_ORG_ID), limit=9)
    assert [row.org_id for row in dead] == [OTHER_ORG_ID]
    whole = await dead_letters.show(connection, dead[0].id)
    assert whole.original is not None
    assert msgspec.json.decode(bytes(whole.original))["changes"] == [
        {"old": None, "new": lead(Email="1@x.org")}
    ]


async def test_a_record_shows_its_newest_changes_in_order_and_to_the_byte(
    connection: Connection, pool: Pool
) -> None:
    at = now_ms()
    text = '{ "Id":"00Q5g00000HotLdEAJ", "N":1.10e5, "Odd":"\\u0000\\ud83d"}'
    steps = [inserted(lead(Step=step), captured_at=at + step) for step in (2, 0, 1)]
    await process(pool, *steps, inserted(msgspec.Raw(text.encode()), captured_at=at + 3))

    shown = await records.show(connection, ORG_ID[:15], SObject.LEAD, LEAD_ID[:15], limit=3)
    assert [change.captured_at - at for change in shown.changes] == [1, 2, 3]
    assert bytes(shown.changes[-1].new).decode() == text
    assert bytes(shown.changes[-1].old) == b"null"
    assert b"\\u0000\\ud83d" in bytes(shown.fields)
    with pytest.raises(OpsError, match="no change of Task"):
        await records.show(connection, ORG_ID, SObject.TASK, LEAD_ID, limit=3)
