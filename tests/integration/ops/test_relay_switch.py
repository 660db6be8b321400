"""Pausing and resuming: what the switch says is what the relay does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops import relay_switch
from ops.__main__ import cli
from ops.errors import WrongUsage
from tests.outbox_rows import add, call, treat
from tests.salesforce import ORG_ID
from workers.relay import outbox

if TYPE_CHECKING:
    from click.testing import Result

    from pipeline.database import Connection, Pool

HOOK = "https://hooks.example/x"


async def test_each_switch_stops_what_it_names_and_nothing_else(
    connection: Connection, pool: Pool
) -> None:
    await add(pool, "ana@x.org")
    await add(pool, "bo@x.org", target="mixmax")
    await call(pool, HOOK, "00Q1")
    every = ["https://hooks.example/x", "mixmax", "webhook"]
    for target in every:
        await relay_switch.pause_target(connection, target)
        assert await outbox.due_targets(pool) == [name for name in every if name != target]
        assert await relay_switch.resume_target(connection, target)
    await relay_switch.pause_target(connection, "all")
    assert await outbox.due_targets(pool) == []
    assert await relay_switch.resume_target(connection, "all")
    assert not await relay_switch.resume_target(connection, "all")

    assert await relay_switch.pause_sequence(connection, ORG_ID, "nurture") is None
    assert await outbox.due_targets(pool) == [HOOK]
    assert await relay_switch.resume_sequence(connection, ORG_ID, "nurture")
    assert not await relay_switch.resume_sequence(connection, ORG_ID, "nurture")
    assert await outbox.due_targets(pool) == every


async def test_a_pause_keeps_the_sequences_document_and_a_reason_is_told(
    connection: Connection, pool: Pool
) -> None:
    await treat(pool, daily_cap=7, source="sequence: nurture")
    await relay_switch.pause_sequence(connection, ORG_ID, "nurture")
    await outbox.stop_target(pool, HOOK, "the target answered 410")
    await relay_switch.pause_target(connection, "webhook")

    paused = await relay_switch.paused(connection)
    assert [(stop.target, stop.reason) for stop in paused.stops] == [
        (HOOK, "the target answered 410"),
        ("webhook", "paused by an operator"),
    ]
    assert [(one.org_id, one.sequence) for one in paused.sequences] == [(ORG_ID, "nurture")]
    row = await connection.fetchrow("SELECT daily_cap, source, paused FROM sequence")
    assert row is not None
    assert tuple(row) == (7, "sequence: nurture", True)


async def test_a_sequence_that_nobody_knows_is_paused_with_a_doubt(
    connection: Connection, pool: Pool
) -> None:
    await add(pool, "ana@x.org")
    doubt = await relay_switch.pause_sequence(connection, ORG_ID, "nurtre")
    assert doubt == "nobody has been in sequence 'nurtre' yet; did you mean 'nurture'?"
    assert len((await relay_switch.paused(connection)).sequences) == 1


@pytest.mark.parametrize("target", ["mixmx", "ftp://x.example/", ""])
async def test_what_is_no_target_is_refused(connection: Connection, target: str) -> None:
    with pytest.raises(WrongUsage, match="is no target"):
        await relay_switch.pause_target(connection, target)


def called(database_url: str, *arguments: str) -> Result:
    environment = {"PENSTOCK_DATABASE__URL": database_url}
    return CliRunner().invoke(cli, arguments, env=environment)


def test_the_commands_tell_what_is_paused(database_url: str) -> None:
    told = called(database_url, "relay", "pause")
    assert told.stdout.startswith("everything is paused since 20")
    told = called(database_url, "relay", "pause", "--target", HOOK, "--json")
    assert [stop["target"] for stop in json.loads(told.stdout)["stops"]] == ["all", HOOK]
    assert called(database_url, "relay", "resume").stdout.startswith(f"target {HOOK} is paused")
    told = called(database_url, "relay", "resume", "--target", HOOK)
    assert told.stdout == "nothing is paused\n"
    told = called(database_url, "relay", "resume")
    assert (told.exit_code, told.stdout) == (0, "nothing is paused\n")
    assert told.stderr == "that was not paused\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--sequence", "a", "--target", "webhook"), "exclude each other"),
        (("--org", ORG_ID), "whose --sequence is meant"),
        (("--target", "nonsense"), "is no target"),
    ],
)
def test_what_makes_no_sense_is_refused(
    database_url: str, options: tuple[str, ...], told: str
) -> None:
    result = called(database_url, "relay", "pause", *options)
    assert result.exit_code == 2
    assert told in result.stderr
