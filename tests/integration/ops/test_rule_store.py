"""Documents are applied all or none, every version is kept, and the org's conditions follow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

from ops import field_types, orgs, rule_life, rule_store, rule_versions
from ops.errors import OpsError
from pipeline.objects import SObject
from pipeline.requests import Cause, ask_for_loads
from rules import RuleError
from rules.checks.catalog import Field, FieldType, Kind
from tests.changes import QUALIFIED_RULE
from tests.salesforce import ORG_ID, RULE, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

NAME = "qualified-to-nurture"
OPEN_RULE = QUALIFIED_RULE.replace("Qualified}", "Open}")
SEQUENCE = """\
sequence: nurture
target: mixmax
target_id: 5f3a
daily_cap: 40
quiet_hours: {from: "22:00", until: "07:30", time_zone: Europe/Berlin}
"""


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def apply(connection: Connection, *texts: str, **how: bool) -> list[tuple[str, int, str]]:
    named = [(f"{number}.yaml", text) for number, text in enumerate(texts)]
    plan = await rule_store.apply(connection, ORG_ID, named, **how)
    return [(one.rule, one.version, one.outcome) for one in plan.rules]


async def conditions(connection: Connection) -> tuple[dict[str, list[str]], int]:
    row = await connection.fetchrow("SELECT conditions, conditions_version FROM org")
    assert row is not None
    return msgspec.json.decode(row["conditions"]), row["conditions_version"]


async def states(connection: Connection) -> list[tuple[str, int, str]]:
    listed = await rule_versions.listing(connection, ORG_ID, removed=True)
    return [(row.rule, row.version, row.state) for row in listed]


async def test_each_change_of_a_rule_is_a_version_and_one_is_active(connection: Connection) -> None:
    assert await apply(connection, QUALIFIED_RULE) == [(NAME, 1, "added")]
    assert await apply(connection, QUALIFIED_RULE) == [(NAME, 1, "unchanged")]
    assert await apply(connection, OPEN_RULE, RULE) == [
        (NAME, 2, "changed"),
        ("hot-leads-to-nurture", 1, "added"),
    ]
    assert await apply(connection, QUALIFIED_RULE) == [
        (NAME, 3, "changed"),
        ("hot-leads-to-nurture", 1, "kept"),
    ]

    assert await states(connection) == [("hot-leads-to-nurture", 1, "active"), (NAME, 3, "active")]
    assert (await rule_versions.show(connection, ORG_ID, NAME, 2)).source == OPEN_RULE
    assert (await rule_versions.show(connection, ORG_ID, NAME, None)).version == 3
    with pytest.raises(OpsError, match=r"has no version 9 of rule '.*'; its newest is 3"):
        await rule_versions.show(connection, ORG_ID, NAME, 9)
    with pytest.raises(OpsError, match=f"did you mean '{NAME}'"):
        await rule_versions.show(connection, ORG_ID, "qualified-nurture", None)


async def test_a_rule_of_a_connected_org_loads_what_was_not_told_before(
    connection: Connection,
) -> None:
    async def loads(*texts: str, **how: bool) -> list[tuple[str, str, list[str]]]:
        named = [(f"{number}.yaml", text) for number, text in enumerate(texts)]
        plan = await rule_store.apply(connection, ORG_ID, named, **how)
        return [(one.object, one.cause, one.fields) for one in plan.loads]

    # The handshake asks for what an org needs by then.
    assert await loads(QUALIFIED_RULE) == []
    await connection.execute("UPDATE org SET secret = 'in use', connected_at = now()")
    rating = OPEN_RULE.replace("Status", "Rating")
    (watched,) = await loads(rating, dry_run=True)
    assert watched == ("Lead", "watched", ["Rating"])
    assert await connection.fetchval("SELECT count(*) FROM request") == 0
    assert await loads(rating) == [watched]
    # Neither what is read no longer nor what is read still.
    assert await loads(rating, prune=True) == []
    rows = await connection.fetch("SELECT kind, object, cause, state FROM request")
    assert [tuple(row) for row in rows] == [("load", "Lead", "watched", "open")]

    # A disabled rule reads nothing; enabled again, it needs what was not told meanwhile.
    assert (await rule_life.disable(connection, ORG_ID, [NAME])).loads == []
    enabled = await rule_life.enable(connection, ORG_ID, [NAME])
    # Contacts, too, say who opted out.
    assert [(one.object, one.cause) for one in enabled.loads] == [
        ("Contact", "synced"),
        ("Lead", "synced"),
    ]
    assert await connection.fetchval("SELECT count(*) FROM request WHERE state = 'open'") == 2


async def test_the_first_rule_loads_nothing_that_was_loaded_while_everything_was_sent(
    connection: Connection,
) -> None:
    await connection.execute("UPDATE org SET secret = 'in use', connected_at = now()")
    await ask_for_loads(connection, ORG_ID, SObject, Cause.CONNECTED)
    await connection.execute("UPDATE request SET state = 'done'")
    named = [("rules.yaml", QUALIFIED_RULE)]
    assert (await rule_store.apply(connection, ORG_ID, named, dry_run=True)).loads == []
    await connection.execute("UPDATE request SET state = 'withdrawn' WHERE object = 'Lead'")
    (load,) = (await rule_store.apply(connection, ORG_ID, named)).loads
    assert (load.object, load.cause) == (SObject.LEAD, Cause.SYNCED)


async def test_a_rule_is_the_same_wherever_in_a_file_it_stands(connection: Connection) -> None:
    await apply(connection, f"{QUALIFIED_RULE}---\n{RULE}")
    moved = await apply(connection, f"# rules\n---\n{RULE}\n\n---\n{QUALIFIED_RULE}")
    assert [outcome for _, _, outcome in moved] == ["changed", "unchanged"]


async def test_a_mistake_anywhere_applies_nothing(connection: Connection) -> None:
    wrong = RULE.replace("equals", "resembles")
    with pytest.raises(RuleError) as refused:
        await apply(connection, QUALIFIED_RULE, wrong, "rule: UPPER")
    assert {mistake.source for mistake in refused.value.mistakes} == {"1.yaml", "2.yaml"}
    with pytest.raises(OpsError, match=rf"a rule '{NAME}': 0\.yaml and 2\.yaml"):
        await apply(connection, QUALIFIED_RULE, RULE, OPEN_RULE)
    with pytest.raises(OpsError, match=r"a sequence 'nurture': 0\.yaml and 1\.yaml"):
        await apply(connection, SEQUENCE, SEQUENCE)
    assert await states(connection) == []


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(connection: Connection) -> None:
    await apply(connection, QUALIFIED_RULE)
    epoch = await connection.fetchval("SELECT epoch FROM rule_epoch")
    before = await conditions(connection)
    planned = await apply(connection, RULE, SEQUENCE, dry_run=True, prune=True)
    assert planned == [("hot-leads-to-nurture", 1, "added"), (NAME, 1, "removed")]
    assert await states(connection) == [(NAME, 1, "active")]
    assert await conditions(connection) == before
    assert await connection.fetchval("SELECT epoch FROM rule_epoch") == epoch
    assert await connection.fetchval("SELECT count(*) FROM sequence") == 0


async def test_what_no_file_holds_is_kept_or_pruned_and_can_be_added_again(
    connection: Connection,
) -> None:
    await apply(connection, QUALIFIED_RULE, RULE)
    assert await apply(connection, RULE, prune=True) == [
        ("hot-leads-to-nurture", 1, "unchanged"),
        (NAME, 1, "removed"),
    ]
    assert [row.rule for row in await rule_versions.listing(connection, ORG_ID)] == [
        "hot-leads-to-nurture"
    ]
    # Whether a removed rule is removed is nothing to tell again.
    assert await apply(connection, RULE, prune=True) == [("hot-leads-to-nurture", 1, "unchanged")]
    assert (await apply(connection, QUALIFIED_RULE))[0] == (NAME, 2, "added")


async def test_a_disabled_rule_stays_disabled_when_it_is_applied(connection: Connection) -> None:
    await apply(connection, QUALIFIED_RULE)
    await rule_life.disable(connection, ORG_ID, [NAME])
    assert await apply(connection, QUALIFIED_RULE) == [(NAME, 1, "unchanged")]
    assert await apply(connection, OPEN_RULE) == [(NAME, 2, "changed")]
    assert await states(connection) == [(NAME, 2, "disabled")]
    assert (await conditions(connection))[0] == {}


async def test_the_conditions_are_what_the_active_rules_read(connection: Connection) -> None:
    _, first = await conditions(connection)
    await apply(connection, QUALIFIED_RULE)
    opt_out = ["EmailBouncedDate", "HasOptedOutOfEmail", "IsConverted"]
    read, version = await conditions(connection)
    of_leads = sorted([*opt_out, "Email", "Status"])
    assert (read, version) == ({"Lead": of_leads, "Contact": opt_out[:2]}, first + 1)
    # What reads the same is no news to Apex.
    await apply(connection, OPEN_RULE)
    assert (await conditions(connection))[1] == first + 1
    await apply(connection, RULE)
    read, version = await conditions(connection)
    assert {"AnnualRevenue", "Rating"} <= set(read["Lead"])
    assert version == first + 2
    await apply(connection, OPEN_RULE, prune=True)
    assert (await conditions(connection))[1] == first + 3
    spans = "SELECT count(*) FROM conditions_span"
    assert await connection.fetchval(spans) == first + 3


async def test_two_people_who_apply_at_once_take_turns(
    connection: Connection, database_url: str
) -> None:
    other = await asyncpg.connect(database_url)
    try:
        outcomes = await asyncio.gather(
            *(apply(one, text) for one, text in ((connection, QUALIFIED_RULE), (other, OPEN_RULE)))
        )
    finally:
        await other.close()
    assert sorted(version for ((_, version, _),) in outcomes) == [1, 2]
    assert await connection.fetchval("SELECT count(*) FROM rule WHERE state = 'active'") == 1


async def test_a_sequence_is_kept_as_its_document_says_and_its_pause_as_it_was(
    connection: Connection,
) -> None:
    async def row() -> dict[str, Any]:
        found = await connection.fetchrow("SELECT * FROM sequence")
        assert found is not None
        return {name: value for name, value in found.items() if value is not None}

    async def outcome(*texts: str, **how: bool) -> list[tuple[str, str]]:
        named = [(f"{number}.yaml", text) for number, text in enumerate(texts)]
        plan = await rule_store.apply(connection, ORG_ID, named, **how)
        return [(one.sequence, one.outcome) for one in plan.sequences]

    await connection.execute(
        "INSERT INTO sequence (org_id, sequence, paused) VALUES ($1, 'nurture', true)", ORG_ID
    )
    assert await outcome(SEQUENCE) == [("nurture", "added")]
    assert await outcome(SEQUENCE) == [("nurture", "unchanged")]
    kept = await row()
    assert (kept["target"], kept["target_id"], kept["daily_cap"]) == ("mixmax", "5f3a", 40)
    assert (str(kept["quiet_from"]), str(kept["quiet_until"])) == ("22:00:00", "07:30:00")
    assert (kept["quiet_time_zone"], kept["paused"]) == ("Europe/Berlin", True)

    assert await outcome("sequence: nurture") == [("nurture", "changed")]
    assert (await row()).keys() & {"target_id", "daily_cap", "quiet_from"} == set()
    assert await outcome(RULE) == [("nurture", "kept")]
    assert await outcome(RULE, prune=True) == [("nurture", "removed")]
    assert (await row())["paused"] is True
    assert "source" not in await row()
    with pytest.raises(RuleError, match="did you mean 'Europe/Berlin'"):
        await outcome(SEQUENCE.replace("Berlin", "Berln"))


async def test_rules_are_checked_against_the_types_of_the_org(connection: Connection) -> None:
    email = Field("Email", type=FieldType.EMAIL, kinds=frozenset({Kind.TEXT}))
    status = Field("Status", type=FieldType.PICKLIST, kinds=frozenset({Kind.CHOICE}))
    rating = msgspec.structs.replace(status, name="Rating", values=("Hot", "Cold"))
    await field_types.write(connection, ORG_ID, {SObject.LEAD: (email, status, rating)})
    with pytest.raises(RuleError) as refused:
        await apply(connection, RULE)
    assert [mistake.line for mistake in refused.value.mistakes] == [8, 12]
    assert "Lead has no field 'AnnualRevenue'" in str(refused.value)

    fitting = RULE.replace("{field: AnnualRevenue, at_least: 1000000}", "{field: Rating, in: [X]}")
    fitting = fitting.replace("FirstName", "Status")
    plan = await rule_store.apply(connection, ORG_ID, [("a.yaml", fitting)])
    assert [str(warning) for warning in plan.warnings] == [
        "a.yaml:8: warning: 'X' is no active value of the picklist 'Rating' of Lead"
    ]


async def test_what_works_against_an_active_rule_is_refused(connection: Connection) -> None:
    removing = QUALIFIED_RULE.replace(NAME, "qualified-out").replace(
        "{add_to_sequence: nurture, recipient: Email, variables: {rating: Rating}}",
        "{remove_from_sequence: nurture, recipient: Email}",
    )
    await apply(connection, QUALIFIED_RULE)
    with pytest.raises(RuleError, match=f"0.yaml:5: .*'{NAME}' is active"):
        await apply(connection, removing)
    await apply(connection, removing, prune=True)
    assert await states(connection) == [("qualified-out", 1, "active"), (NAME, 1, "removed")]
