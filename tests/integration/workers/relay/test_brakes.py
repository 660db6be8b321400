"""What stops or puts off a send, looked at the moment before it: suppression, quiet hours, caps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tests.outbox_rows import add, elapse, leave, standing, told, treat
from tests.salesforce import ORG_ID

if TYPE_CHECKING:
    from pipeline.database import Pool
    from tests.webhook import Webhooks
    from workers.relay.service import Relay

OPT_OUT = """
    INSERT INTO opt_out (org_id, record_id, address, opted_out, bounced, captured_at, sequence,
                         capture_id)
    VALUES ($1, $2, $3, $4, $5, 0, 0, 'c')"""
DELAYS = "recipient, state, attempts, delayed_for"
SENT = "SELECT sum(sent_count) FROM sequence_day"


@pytest.mark.parametrize(
    "listed",
    [
        ("ana@x.org", "ana@x.org", ""),
        ("ana@x.org", "x.org", ORG_ID),
        ("ana@mail.eu.x.org", "x.org", ""),
        ("ana@münchen.example", "xn--mnchen-3ya.example", ""),
        ("ana@xn--mnchen-3ya.example", "ana@xn--mnchen-3ya.example", ""),
    ],
)
async def test_nothing_gets_past_the_suppression_list(
    pool: Pool, relay: Relay, webhooks: Webhooks, listed: tuple[str, str, str]
) -> None:
    recipient, value, org_id = listed
    await add(pool, recipient, "bo@notx.org")
    await pool.execute(
        "INSERT INTO suppression (value, org_id, reason) VALUES ($1, $2, 'asked to')", value, org_id
    )
    assert await relay.step() == 2
    assert webhooks.told() == [("sequence.recipient.added", "bo@notx.org")]
    reason = f"suppressed: {value} is on the list (asked to)"
    assert await told(pool, "state, last_error, attempts") == [
        ("suppressed", reason, 0),
        ("delivered", None, 1),
    ]
    assert (await standing(pool))[0] == (recipient, "failed", reason)


async def test_another_orgs_list_and_a_neighbouring_name_suppress_nobody(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await add(pool, "ana@x.org")
    for value, org_id in (("x.org", "00Dother"), ("ax.org", ""), ("an@x.org", ""), ("y.x.org", "")):
        await pool.execute("INSERT INTO suppression (value, org_id) VALUES ($1, $2)", value, org_id)
    await relay.step()
    assert len(webhooks.requests) == 1


async def test_exits_reach_whoever_was_added_before_being_suppressed(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    (ana,) = await add(pool, "ana@x.org")
    await relay.step()
    await pool.execute("INSERT INTO suppression (value) VALUES ('x.org')")
    await leave(pool, ana)
    await relay.step()
    assert webhooks.told()[-1] == ("sequence.recipient.removed", "ana@x.org")


async def test_who_opted_out_or_bounced_is_suppressed_unless_the_sequence_says_otherwise(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await treat(pool, sequence="legal", send_to_opted_out=True)
    await pool.execute(OPT_OUT, ORG_ID, "00Q1", "out@x.org", True, False)
    await pool.execute(OPT_OUT, ORG_ID, "00Q2", "back@x.org", False, False)
    await pool.execute(OPT_OUT, ORG_ID, "00Q3", "bounced@x.org", False, True)
    await pool.execute(OPT_OUT, "00Dother", "00Q4", "back@x.org", True, True)
    await add(pool, "out@x.org", "back@x.org", "bounced@x.org")
    await relay.step()
    await add(pool, "out@x.org", sequence="legal")
    await relay.step()
    assert await told(pool, "state, last_error") == [
        ("suppressed", "suppressed: opted out"),
        ("delivered", None),
        ("suppressed", "suppressed: mail to it bounced"),
        ("delivered", None),
    ]
    assert len(webhooks.requests) == 2


async def test_in_quiet_hours_adds_wait_for_their_end_and_exits_do_not(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    ends = datetime.now(zone).replace(second=0, microsecond=0) + timedelta(hours=2)
    starts = ends - timedelta(hours=3)
    (ana,) = await add(pool, "ana@x.org")
    await relay.step()
    await treat(
        pool, quiet_from=starts.time(), quiet_until=ends.time(), quiet_time_zone="Asia/Kolkata"
    )
    await leave(pool, ana)
    await add(pool, "bo@x.org")
    assert await relay.step() == 2
    assert await relay.step() == 0
    assert webhooks.told()[-1] == ("sequence.recipient.removed", "ana@x.org")
    assert (await told(pool, DELAYS))[2] == ("bo@x.org", "open", 0, "quiet_hours")
    ((due_at,),) = (await told(pool, "due_at"))[2:]
    assert due_at == ends.astimezone(UTC)

    # What is put off holds up nothing else of the same person.
    await add(pool, "bo@x.org", sequence="other")
    assert await relay.step() == 1
    # By then it is another hour.
    await treat(pool)
    await elapse(pool)
    assert await relay.step() == 1
    assert {state for _, state in await told(pool)} == {"delivered"}


async def test_a_days_cap_counts_what_was_sent_and_puts_the_rest_off_in_order(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    await treat(pool, daily_cap=3)
    await pool.execute("UPDATE org SET time_zone = 'America/Los_Angeles'")
    webhooks.answers["b@x.org"] = webhooks.no(422)
    await add(pool, "a@x.org", "b@x.org", "c@x.org")
    await relay.step()
    assert await pool.fetchval(SENT) == 2

    await add(pool, "d@x.org", "e@x.org", "f@x.org")
    assert await relay.step() == 3
    assert await relay.step() == 0
    assert await pool.fetchval(SENT) == 3
    assert (await told(pool, DELAYS))[3:] == [
        ("d@x.org", "delivered", 1, None),
        ("e@x.org", "open", 0, "daily_cap"),
        ("f@x.org", "open", 0, "daily_cap"),
    ]
    day = datetime.now(zone).date()
    late = (await told(pool, "due_at"))[4:]
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
    assert late[0] == late[1]
    assert timedelta() <= late[0][0] - midnight < timedelta(minutes=1)
    days = await pool.fetch("SELECT day, sent_count FROM sequence_day")
    assert [tuple(row) for row in days] == [(day, 3)]


async def test_a_held_attempt_gives_its_place_in_the_day_back(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await treat(pool, daily_cap=1)
    webhooks.answers["a@x.org"] = webhooks.no(500)
    await add(pool, "a@x.org", "b@x.org")
    await relay.step()
    assert await pool.fetchval(SENT) == 0
    webhooks.answers.clear()
    await elapse(pool)
    await relay.step()
    assert await pool.fetchval(SENT) == 1
    assert [state for _, state in await told(pool)] == ["delivered", "open"]


async def test_who_raises_a_cap_need_not_wait_for_the_next_day(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await treat(pool, daily_cap=1)
    await add(pool, "a@x.org", "b@x.org", "c@x.org")
    await relay.step()
    await pool.execute("UPDATE sequence SET enrich = true")
    assert await relay.step() == 0
    await pool.execute("UPDATE sequence SET daily_cap = 2")
    await relay.step()
    assert len(webhooks.requests) == 2
    await pool.execute("DELETE FROM sequence")
    await relay.step()
    assert [state for _, state in await told(pool)] == ["delivered"] * 3


async def test_who_opted_out_is_not_mailed_at_another_address_of_the_same_record(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    (enrollment_id,) = await add(pool, "private@x.org")
    await pool.execute(OPT_OUT, ORG_ID, "00Q9", "work@x.org", True, False)
    await pool.execute(
        "WITH fired AS (INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version,"
        " object, captured_at, sequence, capture_id, evidence)"
        " VALUES ($1, 't', '00Q9', 'r', 1, 'Lead', 0, 0, 'c', '[]') RETURNING firing_id)"
        " UPDATE enrollment SET firing_id = fired.firing_id FROM fired WHERE enrollment_id = $2",
        ORG_ID,
        enrollment_id,
    )
    await relay.step()
    assert await told(pool, "state, last_error") == [("suppressed", "suppressed: opted out")]
    assert webhooks.requests == []
