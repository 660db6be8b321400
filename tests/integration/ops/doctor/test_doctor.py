"""The doctor finds each thing that is wrong, and says what mends it; it changes nothing."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import aio_pika
import asyncpg
import pytest
from click.testing import CliRunner
from yarl import URL

from ops.__main__ import cli
from ops.doctor import CHECKS, State, database, examine
from pipeline import metrics, topology
from pipeline.database.partitions import WEEK_MS
from pipeline.objects import SObject
from pipeline.settings import Broker, Database, Secret, Settings
from pipeline.tally import ProcessKind, Tally
from tests import outbox_rows
from tests.salesforce import ORG_ID, SYNC_USER_ID
from tests.servers import manage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ops.doctor import Finding
    from ops.stack import PrivateRabbitMQ
    from pipeline.database import Pool

LEADS = topology.queue_name(SObject.LEAD)
# The session's server forgets what it is told when it crashes: the one thing wrong with it.
FORGETFUL = {"database: durability"}

CONNECTED = """
    INSERT INTO org (org_id, sync_user_id, secret, connected_at)
    VALUES ($1, $2, 'whsec_x', now())"""
BEAT = """
    INSERT INTO heartbeat (org_id, heard_at, beat_at, clock_skew_ms, overflow_count)
    VALUES ($1, now(), now(), 900, 0)"""


@pytest.fixture
async def channel(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel beside a worker for every object."""
    async with await aio_pika.connect(broker_url) as connection:
        opened = await connection.channel()
        await topology.declare(opened)
        for sobject in SObject:
            queue = await opened.get_queue(topology.queue_name(sobject))
            await queue.consume(aio_pika.abc.AbstractIncomingMessage.ack)
        yield opened


@pytest.fixture
async def settings(
    pool: Pool,
    channel: aio_pika.abc.AbstractChannel,
    broker_url: str,
    database_url: str,
    rabbitmq_server: PrivateRabbitMQ,
) -> Settings:
    """Everything as it should be."""
    del channel
    await pool.execute(CONNECTED, ORG_ID, SYNC_USER_ID)
    await pool.execute(BEAT, ORG_ID)
    for kind in (ProcessKind.INGEST, ProcessKind.WORKER, ProcessKind.RELAY):
        await Tally(pool, kind).tell()
    return Settings(
        broker=Broker(Secret(broker_url), Secret(rabbitmq_server.management_url)),
        database=Database(url=Secret(database_url)),
    )


async def wrong(settings: Settings) -> dict[str, Finding]:
    """Return what is wrong beside the server's forgetfulness, by check."""
    found = await examine(settings)
    assert {one.check for one in found} == CHECKS.keys()
    assert all(one.mend for one in found if one.state is State.WRONG)
    return {
        one.check: one
        for one in found
        if one.state is not State.FINE and one.check not in FORGETFUL
    }


async def test_what_is_well_is_fine_and_looking_changes_nothing(
    settings: Settings, pool: Pool, database_url: str
) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    await pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert await wrong(settings) == {}
    forgetful = [one for one in await examine(settings) if one.check in FORGETFUL]
    assert {one.told.partition(" is off")[0] for one in forgetful} == {
        "fsync",
        "full_page_writes",
        "synchronous_commit",
    }


@pytest.mark.parametrize(
    ("breaks", "check", "says"),
    [
        (
            "DELETE FROM schema_migration WHERE number = 12",
            "database: migrations",
            "lacks 1 migration → penstock migrate",
        ),
        (
            "INSERT INTO schema_migration VALUES (9999)",
            "database: migrations",
            "1 migration that this version does not know → upgrade",
        ),
        ("DROP TABLE relay_stop", "relay", "a table is missing → penstock migrate"),
        (
            "INSERT INTO relay_stop VALUES ('webhook', '410')",
            "relay",
            "target webhook is stopped → penstock relay resume --target webhook",
        ),
        ("DELETE FROM process WHERE kind = 'relay'", "processes", "no relay runs → penstock relay"),
        (
            "UPDATE process SET told_at = now() - interval '1 minute' WHERE kind = 'ingest'",
            "processes",
            "told of itself last 1 min ago → look for it",
        ),
        ("UPDATE org SET paused = true", "orgs", "is paused → penstock org resume 00D"),
        (
            "UPDATE org SET connected_at = NULL",
            "orgs",
            "is not connected → penstock org rotate 00D",
        ),
        (
            "UPDATE heartbeat SET heard_at = now() - interval '1 day'",
            "orgs",
            "heard of last 1 d ago → look for Penstock",
        ),
        (
            "UPDATE heartbeat SET clock_skew_ms = -200000",
            "orgs",
            "clock is 3 min behind → synchronise",
        ),
        (
            "UPDATE heartbeat SET overflow_count = 7",
            "orgs",
            "7 parked changes → look at them in that org",
        ),
    ],
)
async def test_what_is_wrong_in_the_database_is_told_with_what_mends_it(
    settings: Settings, pool: Pool, breaks: str, check: str, says: str
) -> None:
    await pool.execute(breaks)
    found = await wrong(settings)
    assert found.keys() == {check}
    told, mend = says.split(" → ")
    assert told in found[check].told
    assert (found[check].mend or "").startswith(mend)


async def test_a_history_without_partitions_for_next_week_is_wrong(
    settings: Settings, pool: Pool
) -> None:
    (newest,) = await pool.fetch("""
        SELECT inhrelid::regclass::text AS name FROM pg_inherits
        WHERE inhparent = 'change'::regclass ORDER BY 1 DESC LIMIT 1""")
    await pool.execute(f"DROP TABLE {newest['name']}")
    (second,) = await pool.fetch("""
        SELECT inhrelid::regclass::text AS name FROM pg_inherits
        WHERE inhparent = 'change'::regclass ORDER BY 1 DESC LIMIT 1""")
    await pool.execute(f"DROP TABLE {second['name']}")
    found = await wrong(settings)
    assert found.keys() == {"database: partitions"}
    assert (found["database: partitions"].mend or "").startswith("penstock migrate")


async def test_a_history_past_its_retention_is_wrong(settings: Settings, pool: Pool) -> None:
    at_ms = time.time_ns() // 1_000_000 // WEEK_MS * WEEK_MS - 30 * WEEK_MS
    await pool.execute("SELECT penstock_make_partition($1, $2)", at_ms, at_ms + WEEK_MS)
    found = await wrong(settings)
    assert found.keys() == {"database: partitions"}
    assert "1 partition of the history" in found["database: partitions"].told


async def test_dead_letters_that_are_older_than_the_hour_are_told(
    settings: Settings, pool: Pool
) -> None:
    await pool.execute("""
        INSERT INTO dead_letter (org_id, object, operation, capture_id, record_id, reason, error,
                                 original, callout_id, captured_at, received_at, dead_at, state)
        SELECT 'o', 'Lead', 'insert', n, 'r', 'invalid_record', 'no', '', 'm', 0, 0,
               now() - interval '20 days', CASE WHEN n > 12 THEN 'discarded' ELSE 'open' END
        FROM generate_series(1, 40) AS n""")
    found = await wrong(settings)
    assert found.keys() == {"dead letters"}
    assert found["dead letters"].told == "12 dead letters, of any age, open"


async def test_an_old_transaction_keeps_dead_rows_from_being_cleared(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_MAX_TRANSACTION_S", 0)
    forgotten = await asyncpg.connect(database_url)
    try:
        await forgotten.execute("BEGIN; SELECT 1")
        found = await wrong(settings)
    finally:
        await forgotten.close()
    assert found.keys() == {"database: bloat"}
    assert "pg_terminate_backend" in (found["database: bloat"].mend or "")


async def test_rows_that_the_target_does_not_take_are_told(settings: Settings, pool: Pool) -> None:
    await outbox_rows.add(pool, "ana@example.com")
    await pool.execute("UPDATE outbox SET created_at = now() - interval '1 hour'")
    tally = Tally(pool, ProcessKind.RELAY)
    metrics.outbox_deliveries.labels(SObject.LEAD, "held").inc(50)
    metrics.dead_letters.labels(SObject.LEAD, "invalid_record").inc(50)
    metrics.callouts.labels("changes", 503).inc(50)
    await tally.tell()
    found = await wrong(settings)
    assert found.keys() == {"outbox", "targets", "dead letters", "callouts"}
    assert "the oldest for 1 h" in found["outbox"].told
    assert found["dead letters"].mend == "penstock dead list --object Lead"


async def test_queues_that_are_missing_or_otherwise_are_told(
    settings: Settings, channel: aio_pika.abc.AbstractChannel
) -> None:
    dead = topology.dead_queue_name(SObject.TASK)
    await channel.queue_delete(LEADS, if_unused=False, if_empty=False)
    await channel.declare_queue(LEADS, durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_delete(dead, if_unused=False, if_empty=False)
    found = [one for one in await examine(settings) if one.check == "broker: queues"]
    assert [one.state for one in found] == [State.WRONG] * 2
    told = {one.told for one in found}
    assert f"there is no queue {dead}" in told
    assert any(f"queue {LEADS} was declared otherwise: its x-" in one for one in told)


async def test_a_queue_without_a_worker_and_poison_are_told(
    settings: Settings, channel: aio_pika.abc.AbstractChannel
) -> None:
    exchange = await channel.get_exchange(topology.DEAD)
    await exchange.publish(aio_pika.Message(b"no callout"), "lead.update")
    await channel.queue_delete(LEADS, if_unused=False, if_empty=False)
    await channel.declare_queue(LEADS, durable=True, arguments=topology.queue_arguments(LEADS))
    found = await wrong(settings)
    assert found.keys() == {"workers", "dead letters"}
    assert found["workers"].mend == "penstock worker --object lead"
    assert "1 message that cannot be decoded" in found["dead letters"].told


async def test_a_policy_that_differs_is_told(
    settings: Settings, broker_url: str, rabbitmq_server: PrivateRabbitMQ
) -> None:
    policy = f"/api/policies/{broker_url.rpartition('/')[2]}/short"
    manage(
        rabbitmq_server.management_url,
        "PUT",
        policy,
        '{"pattern": "^penstock.changes.lead", "definition": {"message-ttl": 60000}}',
    )
    # The broker applies it a moment later.
    found: dict[str, Finding] = {}
    async with asyncio.timeout(20):
        while not found:
            found = await wrong(settings)
    assert found.keys() == {"broker: policies"}
    assert f"policy 'short' gives {LEADS} its own message-ttl" in found["broker: policies"].told
    assert "rabbitmqctl clear_policy" in (found["broker: policies"].mend or "")


async def test_an_alarm_is_told_with_and_without_the_management_api(
    settings: Settings, rabbitmq_server: PrivateRabbitMQ
) -> None:
    await rabbitmq_server.ctl("set_vm_memory_high_watermark", "0")
    try:
        # Alarms show in the management API some seconds later; on a busy machine, after so many
        # that the processes of this test, which told of themselves once, count as gone.
        async with asyncio.timeout(60):
            while "broker: alarms" not in (found := await wrong(settings)):
                assert found.keys() <= {"broker: takes messages", "processes"}
    finally:
        await rabbitmq_server.ctl("set_vm_memory_high_watermark", "0.4")
    found.pop("processes", None)
    assert found.keys() == {"broker: takes messages", "broker: alarms"}
    assert "is short of memory" in found["broker: alarms"].told
    for one in found.values():
        assert (one.mend or "").startswith("rabbitmq-diagnostics alarms")


async def test_without_the_management_api_nobody_says_that_policies_are_fine(
    settings: Settings,
) -> None:
    blind = Settings(broker=Broker(settings.broker.url), database=settings.database)
    found = await wrong(blind)
    assert {one.state for one in found.values()} == {State.SKIPPED}
    assert found.keys() == {"broker: alarms", "broker: policies", "broker: members"}
    mistaken = Broker(settings.broker.url, Secret("http://127.0.0.1:1"))
    found = await wrong(Settings(broker=mistaken, database=settings.database))
    assert {one.state for one in found.values()} == {State.UNKNOWN}


async def test_servers_that_are_away_are_wrong_and_nothing_behind_them_is_fine() -> None:
    away = Settings(
        broker=Broker(Secret("amqp://x:hunter2@127.0.0.1:1/")),
        database=Database(url=Secret("postgresql://x:hunter2@127.0.0.1:1/x")),
    )
    found = await examine(away)
    by_state = {state: {one.check for one in found if one.state is state} for state in State}
    assert by_state[State.WRONG] == {"broker", "database"}
    # Of these the settings tell.
    assert by_state[State.FINE] == {"broker: encryption", "database: encryption"}
    assert "hunter2" not in repr(found)


async def test_a_wrong_password_is_told_as_such(broker_url: str) -> None:
    mistaken = URL(broker_url).with_password("hunter2")
    found = await examine(Settings(broker=Broker(Secret(str(mistaken)))))
    (one,) = [one for one in found if one.check == "broker"]
    assert one.told == "RabbitMQ refuses the user or the password in PENSTOCK_BROKER__URL"


def test_the_command_fails_while_something_is_wrong(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where no local stack runs.
    monkeypatch.chdir(tmp_path)
    environment = {"PENSTOCK_DATABASE__URL": database_url, "PENSTOCK_BROKER__URL": None}
    result = CliRunner().invoke(cli, ["doctor", "--json"], env=environment)
    told = CliRunner().invoke(cli, ["doctor"], env=environment)
    misspelt = CliRunner().invoke(cli, ["doctor"], env={"PENSTOCK_DATABASE__ULR": "x"})
    assert result.exit_code == told.exit_code == misspelt.exit_code == 1
    found = {one["check"]: one for one in json.loads(result.stdout)}
    assert found["broker"]["told"] == "PENSTOCK_BROKER__URL is not set"
    assert found["settings"]["state"] == "fine"
    assert "✗ broker: PENSTOCK_BROKER__URL is not set" in told.stdout
    assert "PENSTOCK_DATABASE__ULR is not a setting" in misspelt.stdout
