"""Rules tried on history: what they would have done, what nearly matched, what nobody can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

from ops import rule_trial
from ops.commands.trial_lines import trial_lines
from ops.errors import OpsError
from ops.rule_trial import enrolments_of_last_day, read_documents, try_rules
from pipeline.objects import long_id
from rules import parse_rules
from tests.changes import add_org, inserted, lead, received, record_ids, updated
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID, callout, now_ms
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ops.rule_trial import RuleTrial, Trial
    from pipeline.database import Connection, Pool

DAY_MS = 86_400_000
RULE = """\
rule: hot
object: Lead
on: [insert, update]
when:
  - {field: status, changed_to: Qualified}
  - any: [{field: Rating, equals: Hot}, {field: AnnualRevenue, at_least: 1000000}]
then: [{add_to_sequence: nurture, recipient: Email}]
"""
OWNER_ID = long_id("0055g00000Owner")


@pytest.fixture
async def pool(pool: Pool) -> Pool:
    await add_org(pool)
    return pool


@pytest.fixture
async def asking(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def process(pool: Pool, *callouts: object) -> None:
    await Processor(pool, retention_days=90).process(received(*callouts))


def raw(members: str) -> msgspec.Raw:
    """Return a lead as it was written."""
    return msgspec.Raw(f'{{"Id": "{LEAD_ID}", "Email": "ana@example.com", {members}}}'.encode())


def people(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return callouts that insert so many hot leads of different people."""
    return [
        inserted(lead(Id=record_id, Email=f"P{number}@x.org", Rating="Hot", **fields))
        for number, record_id in zip(range(count), record_ids(), strict=False)
    ]


async def tried(
    reading: Connection,
    asking: Connection,
    text: str = RULE,
    **choices: Any,
) -> Trial:
    now = now_ms()
    asked: dict[str, Any] = {"since_ms": now - DAY_MS, "until_ms": now + 1, "sample_count": 5}
    documents = read_documents([("rules.yaml", text)])
    return await try_rules(reading, asking, ORG_ID, documents, **(asked | choices))


async def only_rule(
    reading: Connection,
    asking: Connection,
    text: str = RULE,
    **choices: Any,
) -> RuleTrial:
    (found,) = (await tried(reading, asking, text, **choices)).rules
    return found


async def test_matches_are_counted_shown_and_without_effect(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(pool, *people(7))
    again = updated(lead(Status="Open"), lead(Rating="Hot", Email="p3@x.org"))
    await process(pool, again, inserted(lead(Email="none", Rating="Hot")))

    found = await only_rule(connection, asking)
    assert (found.changes, found.matched, found.records) == (9, 9, 8)
    assert found.no_address == 1
    (added,) = found.additions
    # An address counts once, however it is written and whosever it is.
    assert (added.sequence, added.people, added.enrolments) == ("nurture", 7, 7)
    assert len(found.samples) == 5
    assert found.samples[0].reads[0] == "status changed from (empty) to 'Qualified'"
    assert await connection.fetchval("SELECT count(*) FROM firing") == 0


async def test_todays_enrolments_and_refusals_count_apart(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(pool, *people(8))
    await connection.execute(
        """
        INSERT INTO enrollment (org_id, sequence, recipient, state, generation)
        SELECT $1, 'nurture', 'p' || number || '@x.org', 'exited', number
        FROM generate_series(0, 2) AS number""",
        ORG_ID,
    )
    await connection.execute("INSERT INTO suppression (value) VALUES ('p3@x.org')")
    await connection.execute(
        """
        INSERT INTO opt_out
        SELECT $1, number::text, 'p' || number || '@x.org', true, false, 0, 0, ''
        FROM generate_series(3, 4) AS number""",
        ORG_ID,
    )

    async def counts(text: str) -> tuple[int, ...]:
        (added,) = (await only_rule(connection, asking, text)).additions
        return (added.people, added.already, added.enrolments, added.suppressed, added.opted_out)

    # One that nothing adds any more (generation 0) was never in it.
    assert await counts(RULE) == (8, 2, 6, 1, 1)
    assert await counts(RULE.replace("Email}", "Email, re_enroll: after_exit}")) == (8, 2, 8, 1, 1)
    taking = "\n---\nsequence: nurture\nsend_to_opted_out: true\n"
    assert await counts(RULE + taking) == (8, 2, 6, 1, 0)
    held = await only_rule(connection, asking, RULE.replace("then:", "ceiling: 4\nthen:"))
    # All of them came within an hour, or the hour turned meanwhile.
    assert held.held in {0, 1, 2}
    assert sum(added.enrolments for added in held.additions) == 6


async def test_what_holds_but_for_one_condition_is_a_near_miss(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    for _ in range(4):
        await process(pool, inserted(lead(Rating="Cold")))
    await process(pool, inserted(lead(Status="Open", Rating="Hot")), inserted(lead(Status="Open")))
    found = await only_rule(connection, asking)
    assert [(missed.condition, missed.changes) for missed in found.near_misses] == [
        ("status changed_to Qualified", 1),
        ("any: [Rating equals Hot, AnnualRevenue at_least 1000000]", 4),
    ]
    assert found.near_misses[1].samples[0].reads == [
        "Rating 'Cold' does not equal 'Hot'",
        "AnnualRevenue (empty) is not at least 1000000",
    ]
    assert len(found.near_misses[1].samples) == 3


async def test_what_workers_pass_over_is_passed_over(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    hot = lead(Rating="Hot")
    await process(
        pool,
        inserted(hot, actor_id=SYNC_USER_ID),
        inserted(hot, captured_at=now_ms() - DAY_MS // 2),
        inserted(hot, captured_at=now_ms() - 2 * DAY_MS),
        callout([{"old": hot, "new": None}], operation="delete"),
    )
    text = RULE.replace("then:", "max_age: 1h\nthen:")
    found = await only_rule(connection, asking, text)
    assert (found.changes, found.matched) == (2, 0)
    assert (found.passed_over.sync_user, found.passed_over.max_age) == (1, 1)
    found = await only_rule(
        connection, asking, text.replace("then:", "include_sync_user: true\nthen:")
    )
    assert (found.matched, found.passed_over.sync_user) == (1, 0)


async def test_lookups_read_todays_records_and_missing_ones_wait(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    manager_id = long_id("0055g00000Manag")
    text = RULE.replace(
        "then:",
        "  - {field: Owner.IsActive, equals: true}\n"
        "  - {field: Owner.Manager.Department, equals: Sales}\nthen:",
    )
    hot = lead(Rating="Hot", OwnerId=OWNER_ID)
    await process(
        pool, inserted(hot), inserted(lead(Status="Open", Rating="Hot", OwnerId=OWNER_ID))
    )
    found = await only_rule(connection, asking, text)
    assert (found.matched, found.waiting) == (0, 1)

    users: list[dict[str, Any]] = [
        {"Id": OWNER_ID, "IsActive": True, "ManagerId": manager_id},
        {"Id": manager_id, "department": "sales"},
    ]
    await process(pool, inserted(*users, object="User"))
    trial = await tried(connection, asking, text)
    (found,) = trial.rules
    assert (found.matched, found.waiting) == (1, 0)
    assert f"(in {manager_id} as of" in found.samples[0].reads[-1]
    # Its lookups hold as well, so that one thing is missing.
    assert [missed.condition for missed in found.near_misses] == ["status changed_to Qualified"]
    assert any("as they stand today" in warning for warning in trial.warnings)


async def test_removals_and_calls_are_counted(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(pool, *people(3))
    await connection.execute(
        """
        INSERT INTO enrollment (org_id, sequence, recipient, state, generation)
        VALUES ($1, 'nurture', 'p1@x.org', 'active', 1), ($1, 'nurture', 'p2@x.org', 'exited', 1)
        """,
        ORG_ID,
    )
    then = "[{remove_from_sequence: nurture, recipient: Email}, {webhook: 'https://x.org/a'}]"
    text = f"{RULE.partition('then:')[0]}then: {then}\n"
    found = await only_rule(connection, asking, text)
    (removed,) = found.removals
    assert (removed.people, removed.enrolled) == (3, 1)
    assert [(one.url, one.calls) for one in found.calls] == [("https://x.org/a", 3)]
    assert found.additions == []


async def test_a_field_that_was_not_watched_is_warned_of_with_the_time(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(pool, *people(1), inserted(lead(), captured_at=now_ms() - 2 * DAY_MS))
    hour = 3_600_000

    async def warnings(*spans: str, text: str = RULE) -> list[str]:
        await connection.execute("DELETE FROM conditions_span")
        now = now_ms()
        for version, conditions in enumerate(spans):
            since = now - (len(spans) - version) * hour if version else 0
            await connection.execute(
                "INSERT INTO conditions_span VALUES"
                " ($1, $2, $3::jsonb, to_timestamp($4::bigint / 1000.0))",
                ORG_ID,
                version,
                conditions,
                since,
            )
        trial = await tried(connection, asking, text, since_ms=now - 4 * hour, until_ms=now)
        return trial.warnings

    # Nothing is named, all of them are watched, or in whatever case.
    assert await warnings("{}") == []
    assert await warnings('{"Lead": []}') == []
    assert await warnings('{"Lead": ["STATUS", "Rating", "AnnualRevenue", "Email"]}') == []
    most = '{"Lead": ["Status", "AnnualRevenue", "Email"]}'
    (warning,) = await warnings(most, '{"Lead": []}')
    assert warning.startswith("rule hot: Lead.Rating was not watched from ")
    assert warning.endswith(" so that updates of it alone were not sent")
    (warning,) = await warnings('{"Lead": []}', '{"Task": []}', '{"Lead": []}')
    assert warning.startswith("rule hot: no Lead was sent from ")
    assert await warnings('{"Task": []}', text=RULE.replace("[insert, update]", "[insert]"))
    assert await warnings(most, text=RULE.replace("[insert, update]", "[insert]")) == []


async def test_a_span_that_history_does_not_cover_is_warned_of(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    (warning,) = (await tried(connection, asking)).warnings
    assert "holds no change" in warning
    await process(pool, *people(1))
    (warning,) = (await tried(connection, asking)).warnings
    assert "it begins at" in warning


async def test_odd_records_are_read_to_the_letter_and_unreadable_ones_counted(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(
        pool,
        inserted(raw('"Status": "Qualified", "Name": "\\u0000", "Rating": "\\ud83dHot"')),
        inserted(raw(f'"Status": "Qualified", "AnnualRevenue": {10**400}, "Other": 1e99')),
        inserted(lead(Rating="Hot")),
    )
    await connection.execute(
        "UPDATE change SET new = '[1]' WHERE new LIKE '%Hot\"%' AND new NOT LIKE '%ud83d%'"
    )
    trial = await tried(connection, asking)
    (found,) = trial.rules
    assert trial.unreadable == 1
    assert found.matched == 1
    assert found.near_misses[0].samples[0].reads[0] == "Rating '\\ud83dHot' does not equal 'Hot'"


async def test_pages_follow_each_other_without_gap_or_repetition(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    at = now_ms()
    records = [
        lead(Id=record_id, Rating="Hot", Email=f"{number}@x.org")
        for number, record_id in zip(range(700), record_ids(), strict=False)
    ]
    # Of one moment and, in part, of one capture: only the whole key tells them apart.
    await process(
        pool,
        *(inserted(*records[start : start + 100], captured_at=at) for start in range(0, 700, 100)),
    )
    seen: list[tuple[int, int]] = []
    found = await only_rule(
        connection, asking, progress=lambda done, expected: seen.append((done, expected))
    )
    assert (found.changes, found.records) == (700, 700)
    assert [done for done, _ in seen] == [200, 700]


async def test_the_last_day_of_each_rule_is_counted_within_bounds(
    connection: Connection, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process(pool, *people(300))
    rules = parse_rules(RULE + "---\n" + RULE.replace("rule: hot", "rule: cold"), "x")
    counted = await enrolments_of_last_day(connection, ORG_ID, rules)
    assert {name: (one.enrolments, one.is_whole) for name, one in counted.items()} == {
        "hot": (300, True),
        "cold": (300, True),
    }
    monkeypatch.setattr(rule_trial.trial, "LAST_DAY_MAX_CHANGES", 100)
    counted = await enrolments_of_last_day(connection, ORG_ID, rules[:1])
    assert (counted["hot"].enrolments, counted["hot"].is_whole) == (200, False)
    oldest = await connection.fetchval("SELECT min(captured_at) FROM change")
    assert counted["hot"].since_ms >= oldest


async def test_documents_need_a_rule_and_names_of_their_own() -> None:
    with pytest.raises(OpsError, match=r"two rules are named 'hot': a\.yaml and b\.yaml"):
        read_documents([("a.yaml", RULE), ("b.yaml", RULE)])
    with pytest.raises(OpsError, match="no rule to try"):
        read_documents([("a.yaml", "sequence: nurture\n")])


async def test_the_outcome_reads_well_on_a_terminal(
    connection: Connection, asking: Connection, pool: Pool
) -> None:
    await process(pool, *people(2), inserted(lead(Rating="Cold")))
    lines = list(trial_lines(await tried(connection, asking)))
    assert all(len(line) <= 100 for line in lines)
    assert "Rule hot (Lead: insert, update) matched 2 of 3 changes, of 2 records." in lines
    assert "  would have added 2 people to 'nurture': 2 new enrolments" in lines
    assert "      - Rating 'Hot' equals 'Hot'" in lines
