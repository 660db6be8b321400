"""Audits as an operator starts, reads, lets go on, cancels and schedules them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import audit_report, audits, loads, orgs
from ops.audit_report import MAX_EXAMPLE_COUNT, Audit, AuditState, FindingKind, ObjectState
from ops.errors import OpsError
from pipeline.objects import SObject
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

LEAD, TASK = SObject.LEAD, SObject.TASK


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def newest(connection: Connection) -> Audit:
    (audit,) = await audit_report.listing(connection, ORG_ID, limit=1)
    return audit


async def find(connection: Connection, audit: Audit, kind: str, count: int) -> None:
    """Let an audit find leads that differ; every other one is healed."""
    await connection.execute(
        "INSERT INTO audit_finding"
        " (audit_id, object, kind, record_id, modstamp, stored_at, healed_at)"
        " SELECT $1, 'Lead', $2, '00Q' || $2 || lpad(place::text, 3, '0'), 1000, 500,"
        " CASE WHEN place % 2 = 0 THEN now() END FROM generate_series(1, $3) AS place",
        audit.id,
        kind,
        count,
    )


async def stop(connection: Connection, *objects: SObject) -> None:
    await connection.execute(
        "UPDATE audit_object SET state = 'stopped' WHERE object = ANY($1)", list(objects)
    )
    await connection.execute("UPDATE audit SET state = 'stopped'")


async def test_one_audit_is_under_way_at_a_time(connection: Connection) -> None:
    audit = await audits.start(connection, ORG_ID, [TASK, LEAD])
    assert audit.state is AuditState.RUNNING
    assert [(one.object, one.state) for one in audit.objects] == [
        (LEAD, ObjectState.COMPARING),
        (TASK, ObjectState.COMPARING),
    ]
    with pytest.raises(OpsError, match=f"`penstock audit cancel {ORG_ID}` ends it"):
        await audits.start(connection, ORG_ID, [])


async def test_what_an_audit_found_is_told_by_kind_with_a_few_examples(
    connection: Connection,
) -> None:
    audit = await audits.start(connection, ORG_ID, [LEAD])
    await find(connection, audit, "missing", 12)
    await find(connection, audit, "extra", 1)
    (lead,) = (await newest(connection)).objects
    assert (lead.missing, lead.stale, lead.extra, lead.healed) == (12, 0, 1, 6)
    by_kind = [one.kind for one in lead.examples]
    assert by_kind.count(FindingKind.MISSING) == MAX_EXAMPLE_COUNT
    assert by_kind.count(FindingKind.EXTRA) == 1
    # Those that are not healed yet say most.
    first = lead.examples[0]
    assert (first.record_id, first.healed_at) == ("00Qmissing001", None)
    assert (first.modified_at, first.stored_at) == (
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T00:00:00.500Z",
    )
    assert {one.healed_at for one in lead.examples} == {None}


async def test_about_as_many_records_are_expected_as_there_were_last_time(
    connection: Connection,
) -> None:
    await loads.start(connection, ORG_ID, [LEAD], None)
    await connection.execute("UPDATE request SET total_count = 70, state = 'done'")
    first = await audits.start(connection, ORG_ID, [LEAD])
    assert [one.expected_count for one in first.objects] == [70]
    await connection.execute("UPDATE audit_object SET compared_count = 90, state = 'done'")
    await connection.execute("UPDATE audit SET state = 'done'")
    second = await audits.start(connection, ORG_ID, [LEAD, TASK])
    assert [one.expected_count for one in second.objects] == [90, None]
    listed = await audit_report.listing(connection, ORG_ID, limit=20)
    assert [(one.id, one.state) for one in listed] == [
        (second.id, AuditState.RUNNING),
        (first.id, AuditState.DONE),
    ]


async def test_a_stopped_audit_goes_on_with_the_objects_that_are_allowed(
    connection: Connection,
) -> None:
    with pytest.raises(OpsError, match=r"no audit of .* is under way: `penstock audit"):
        await audits.allow(connection, ORG_ID, [])
    await audits.start(connection, ORG_ID, [LEAD, TASK])
    with pytest.raises(OpsError, match="is not stopped: `penstock audit show"):
        await audits.allow(connection, ORG_ID, [])
    await stop(connection, LEAD, TASK)
    assert (await newest(connection)).state is AuditState.STOPPED

    assert await audits.allow(connection, ORG_ID, [LEAD]) == [LEAD]
    audit = await newest(connection)
    assert audit.state is AuditState.STOPPED
    assert [(one.state, one.absent_allowed) for one in audit.objects] == [
        (ObjectState.COMPARING, True),
        (ObjectState.STOPPED, False),
    ]
    with pytest.raises(OpsError, match="is not stopped with Lead"):
        await audits.allow(connection, ORG_ID, [LEAD])
    assert await audits.allow(connection, ORG_ID, []) == [TASK]
    assert (await newest(connection)).state is AuditState.RUNNING


async def test_a_cancelled_audit_asks_for_nothing_more_and_makes_room(
    connection: Connection,
) -> None:
    await loads.start(connection, ORG_ID, [TASK], None)
    audit = await audits.start(connection, ORG_ID, [LEAD])
    assert await audits.cancel(connection, ORG_ID) == audit.id
    assert (await newest(connection)).state is AuditState.CANCELLED
    opened = await connection.fetch("SELECT kind FROM request WHERE state = 'open'")
    assert [row["kind"] for row in opened] == ["load"]
    with pytest.raises(OpsError, match="no audit of"):
        await audits.cancel(connection, ORG_ID)
    assert (await audits.start(connection, ORG_ID, [LEAD])).id > audit.id


async def test_what_is_still_being_loaded_is_not_audited(connection: Connection) -> None:
    await loads.start(connection, ORG_ID, [LEAD], None)
    with pytest.raises(OpsError, match=f"^Lead of .*: still being loaded.*loads {ORG_ID}"):
        await audits.start(connection, ORG_ID, [LEAD, TASK])
    begun = await audits.start(connection, ORG_ID, [])
    assert LEAD not in {one.object for one in begun.objects}
    assert len(begun.objects) == len(SObject) - 1


async def test_an_org_is_audited_every_so_many_days_or_not_by_itself(
    connection: Connection,
) -> None:
    for days in (7, 30):
        scheduled = await audits.set_schedule(connection, ORG_ID, days)
        assert scheduled == await audits.schedule(connection, ORG_ID)
        (listed,) = await orgs.listing(connection)
        assert (listed.audit_every_days, listed.next_audit_at) == (days, scheduled.next_at)
    assert await connection.fetchval(
        "SELECT next_at BETWEEN now() + interval '29 days' AND now() + interval '30 days'"
        " FROM audit_schedule"
    )
    assert (await audits.set_schedule(connection, ORG_ID, None)).every_days is None
    assert (await audits.schedule(connection, ORG_ID)).every_days is None
