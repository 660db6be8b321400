"""Which rules decide a change: those of its org, as they stand when it is processed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import TransientError
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
from tests.salesforce import ORG_ID, SYNC_USER_ID, now_ms
from workers import rule_book
from workers.processor import Outcome, Processor
from workers.rule_book import RuleBook

if TYPE_CHECKING:
    from pipeline.database import Pool
    from rules import CompiledRule

FIRED = "SELECT org_id, rule, rule_version FROM firing ORDER BY firing_id"


async def fired(pool: Pool) -> list[tuple[str, str, int]]:
    return [tuple(row) for row in await pool.fetch(FIRED)]


async def test_a_rule_decides_whatever_is_processed_after_it_was_applied(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool)
    await processor.process(received(inserted(lead(Id="00Q5g0000000001AAA"))))
    assert await fired(pool) == []

    name = "qualified-to-nurture"
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    await processor.process(received(inserted(lead(Id="00Q5g0000000002AAA"))))
    assert await fired(pool) == [(ORG_ID, name, 1)]

    await apply_rules(pool, ORG_ID, QUALIFIED_RULE.replace("Qualified}", "Open}"))
    await processor.process(received(inserted(lead(Id="00Q5g0000000003AAA"))))
    await processor.process(received(inserted(lead(Id="00Q5g0000000004AAA", Status="Open"))))
    assert await fired(pool) == [(ORG_ID, name, 1), (ORG_ID, name, 2)]

    await pool.execute("UPDATE rule SET state = 'disabled' WHERE state = 'active'")
    await processor.process(received(inserted(lead(Id="00Q5g0000000005AAA", Status="Open"))))
    assert len(await fired(pool)) == 2


async def test_of_many_orgs_only_those_whose_changes_come_are_compiled_and_once_a_process(
    pool: Pool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[tuple[str, str]] = []
    compile_one = rule_book._compile  # noqa: SLF001  called for each rule that is compiled

    def noted(org_id: str, name: str, version: int, text: str) -> CompiledRule:
        compiled.append((org_id, name))
        return compile_one(org_id, name, version, text)

    monkeypatch.setattr(rule_book, "_compile", noted)
    climbing = QUALIFIED_RULE.replace("rule: qualified", "rule: climbing").replace(
        "{field: Status, equals: Qualified}", "{field: Owner.IsActive, equals: true}"
    )
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    await add_org(pool, OTHER_ORG_ID, climbing)
    await processor.process(received(inserted(lead())))
    assert compiled == [(ORG_ID, "qualified-to-nurture")]

    # Another lane comes to the same rules, and a sweep to those with lookups alone.
    lane, book = Processor(pool, retention_days=90), RuleBook()
    await lane.process(received(inserted(lead(Id="00Q5g0000000002AAA"))))
    assert len(compiled) == 1
    async with pool.acquire() as connection:
        await book.turn_to_newest(connection)
    assert {one for one, _, _ in await book.needed_traversals()} == {OTHER_ORG_ID}
    assert compiled[1:] == [(OTHER_ORG_ID, "climbing-to-nurture")]


async def test_a_rule_of_another_org_never_fires(pool: Pool, processor: Processor) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    await add_org(pool, OTHER_ORG_ID, QUALIFIED_RULE.replace("qualified-to", "other-to"))
    await processor.process(received(inserted(lead()), inserted(lead(), org_id=OTHER_ORG_ID)))
    await processor.process(received(inserted(lead(), org_id="00D5g000004NobdAAA")))

    assert set(await fired(pool)) == {
        (ORG_ID, "qualified-to-nurture", 1),
        (OTHER_ORG_ID, "other-to-nurture", 1),
    }


async def test_the_sync_users_changes_fire_only_rules_that_ask_for_them(
    pool: Pool, processor: Processor
) -> None:
    asking = QUALIFIED_RULE.replace("rule: qualified", "include_sync_user: true\nrule: any")
    await add_org(pool, ORG_ID, QUALIFIED_RULE, asking)
    await processor.process(received(updated(lead(), lead(), actor_id=SYNC_USER_ID)))
    assert [rule for _, rule, _ in await fired(pool)] == ["any-to-nurture"]

    # Told as 15 characters it is the same user; and another one is another one.
    await processor.process(received(updated(lead(), lead(), actor_id=SYNC_USER_ID[:15])))
    assert len(await fired(pool)) == 2
    await pool.execute("UPDATE org SET sync_user_id = '0055g00000SomeoAAA'")
    await processor.process(received(updated(lead(), lead(), actor_id=SYNC_USER_ID)))
    assert len(await fired(pool)) == 4


async def test_a_rule_of_a_newer_version_holds_rather_than_being_passed_over(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    source = QUALIFIED_RULE.replace("equals", "resembles")
    await pool.execute("UPDATE rule SET source = $1", source)
    batch = received(inserted(lead()))
    with pytest.raises(TransientError, match="cannot be read by this version"):
        await processor.process(batch)
    assert await pool.fetchval("SELECT count(*) FROM change") == 0

    await pool.execute("UPDATE rule SET source = $1", QUALIFIED_RULE)
    assert await processor.process(batch) == Outcome(1, 0)
    assert len(await fired(pool)) == 1


async def test_an_orgs_time_zone_decides_its_days_and_an_unknown_one_holds(
    pool: Pool, processor: Processor
) -> None:
    due = "{field: Due, between: [today, today]}"
    await add_org(pool, ORG_ID, QUALIFIED_RULE.replace("{field: Status, equals: Qualified}", due))
    # It is never the same day in both: they are 25 hours apart.
    at = now_ms()
    today = datetime.fromtimestamp(at / 1000, ZoneInfo("Pacific/Kiritimati")).date().isoformat()
    for zone, firing_count in (("Pacific/Pago_Pago", 0), ("Pacific/Kiritimati", 1)):
        await pool.execute("UPDATE org SET time_zone = $1", zone)
        await processor.process(received(inserted(lead(Due=today), captured_at=at)))
        assert len(await fired(pool)) == firing_count

    for unknown in ("Mars/Olympus", "../etc/passwd", "Europe"):
        await pool.execute("UPDATE org SET time_zone = $1", unknown)
        with pytest.raises(TransientError, match=unknown):
            await processor.process(received(inserted(lead(Due=today))))
