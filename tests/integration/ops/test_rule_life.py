"""Rules are disabled, enabled and rolled back; what they read is watched meanwhile, or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import orgs, rule_life, rule_store, rule_versions
from ops.errors import OpsError
from rules import RuleError
from tests.changes import QUALIFIED_RULE
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from ops.rule_life import Changed
    from pipeline.database import Connection

NAME = "qualified-to-nurture"


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    """An org with three versions of a rule: Qualified, Open, Closed."""
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    for status in ("Qualified", "Open", "Closed"):
        await apply(connection, QUALIFIED_RULE.replace("Qualified}", f"{status}}}"))


async def apply(connection: Connection, text: str = "", *, prune: bool = False) -> None:
    text = text or QUALIFIED_RULE.replace(NAME, "other")
    await rule_store.apply(connection, ORG_ID, [("rules.yaml", text)], prune=prune)


async def versions(connection: Connection) -> list[str]:
    return [row.state for row in await rule_versions.versions(connection, ORG_ID, NAME)]


async def roll_back(connection: Connection, version: int | None = None) -> Changed:
    return await rule_life.roll_back(connection, ORG_ID, NAME, version)


async def test_a_rollback_reactivates_the_version_before_or_the_one_that_is_named(
    connection: Connection,
) -> None:
    changed = await roll_back(connection)
    assert [(one.version, one.state) for one in changed.rules] == [(2, "active")]
    assert await versions(connection) == ["superseded", "active", "superseded"]
    await roll_back(connection, 3)
    await roll_back(connection, 1)
    assert await versions(connection) == ["active", "superseded", "superseded"]
    spans = await connection.fetch(
        "SELECT version, active_until IS NULL AS open FROM rule_span ORDER BY active_from"
    )
    assert [tuple(span) for span in spans] == [
        *((version, False) for version in (1, 2, 3, 2, 3)),
        (1, True),
    ]
    # What is applied next is the next version, whichever counts.
    await apply(connection, QUALIFIED_RULE.replace("Qualified}", "New}"))
    assert await versions(connection) == [*["superseded"] * 3, "active"]


@pytest.mark.parametrize(
    ("version", "message"),
    [(3, "is at version 3 already"), (9, "has no version 9"), (None, "has no version before 1")],
)
async def test_a_rollback_to_nowhere_says_so(
    connection: Connection, version: int | None, message: str
) -> None:
    if version is None:
        await roll_back(connection, 1)
    with pytest.raises(OpsError, match=message):
        await roll_back(connection, version)


async def test_a_disabled_rule_reads_nothing_until_it_is_enabled(connection: Connection) -> None:
    read = "SELECT conditions->'Lead' ? 'Status' FROM org"
    epoch = await connection.fetchval("SELECT epoch FROM rule_epoch")
    changed = await rule_life.disable(connection, ORG_ID, [NAME])
    assert [(one.state, one.was) for one in changed.rules] == [("disabled", "active")]
    assert await connection.fetchval("SELECT epoch FROM rule_epoch") > epoch
    assert not await connection.fetchval(read)
    # A rollback chooses the version; whether it decides is another's choice.
    assert [one.state for one in (await roll_back(connection)).rules] == ["disabled"]
    await rule_life.enable(connection, ORG_ID, [NAME])
    assert await versions(connection) == ["superseded", "active", "superseded"]
    assert await connection.fetchval(read)


async def test_of_several_rules_all_are_changed_or_none(connection: Connection) -> None:
    await apply(connection)
    with pytest.raises(OpsError, match=f"no rule 'qualified-nurture'; did you mean '{NAME}'"):
        await rule_life.disable(connection, ORG_ID, ["other", "qualified-nurture"])
    assert (await versions(connection))[-1] == "active"
    changed = await rule_life.disable(connection, ORG_ID, [NAME, "other", NAME])
    assert [one.rule for one in changed.rules] == [NAME, "other"]
    again = await rule_life.disable(connection, ORG_ID, [NAME])
    assert [(one.state, one.was) for one in again.rules] == [("disabled", "disabled")]


async def test_a_removed_rule_comes_back_by_a_rollback_alone(connection: Connection) -> None:
    await apply(connection, prune=True)
    for change in (rule_life.enable, rule_life.disable):
        with pytest.raises(OpsError, match=f"was removed: `penstock rules rollback {NAME}`"):
            await change(connection, ORG_ID, [NAME])
    await roll_back(connection)
    assert await versions(connection) == ["superseded", "superseded", "active"]


async def test_what_checks_say_of_a_rule_that_decides_again_is_a_warning(
    connection: Connection,
) -> None:
    await rule_life.disable(connection, ORG_ID, [NAME])
    removing = QUALIFIED_RULE.replace(NAME, "closed-out").replace("Qualified}", "Closed}")
    await apply(
        connection,
        removing.replace(
            "{add_to_sequence: nurture, recipient: Email, variables: {rating: Rating}}",
            "{remove_from_sequence: nurture, recipient: Email}",
        ),
    )
    changed = await rule_life.enable(connection, ORG_ID, [NAME])
    (warning,) = changed.warnings
    assert str(warning) == (
        f"{NAME} version 3:5: warning: rule 'closed-out' removes from sequence 'nurture' whom rule"
        f" '{NAME}' adds on the same condition; 'closed-out' is active"
    )


async def test_a_version_that_cannot_be_read_any_more_does_not_come_back(
    connection: Connection,
) -> None:
    await connection.execute("UPDATE rule SET source = 'rule: [' WHERE version = 1")
    with pytest.raises(RuleError, match=f"{NAME} version 1:1"):
        await roll_back(connection, 1)
    assert await versions(connection) == ["superseded", "superseded", "active"]
