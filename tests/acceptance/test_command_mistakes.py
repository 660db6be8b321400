"""What the command line cannot do it says in words, with the exit code that is right."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.signing import new_secret
from tests.changes import OTHER_ORG_ID
from tests.processes import PenstockProcesses
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.starting import Forks

# Arguments, exit code, and what standard error says.
MISTAKES: Final = (
    (("nonsense",), 2, "No such command"),
    (("record", "show", ORG_ID, "Case", LEAD_ID), 2, "'Case' is not one of 'account'"),
    (("record", "show", ORG_ID, "Lead", LEAD_ID), 1, f"org {ORG_ID} is not registered"),
    (("org", "add", "nonsense", "--sync-user", SYNC_USER_ID), 2, "'nonsense' is not the id"),
    (("org", "add", ORG_ID), 2, "--sync-user"),
    (
        ("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID, "--time-zone", "Europe/Berln"),
        2,
        "unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
    ),
    (("org", "pause", OTHER_ORG_ID), 1, "is not registered"),
    (("org", "time-zone", OTHER_ORG_ID, "Mars"), 2, "unknown time zone 'Mars'"),
    (("org", "time-zone", OTHER_ORG_ID, "UTC"), 1, "is not registered"),
    (("org", "watch", OTHER_ORG_ID, "Lead.Rating"), 1, "is not registered"),
    (("org", "describe", "nowhere.json"), 2, "nowhere.json"),
    (("rules", "apply", "nowhere.yaml"), 2, "nowhere.yaml"),
    (("rules", "list", "--org", OTHER_ORG_ID), 1, "is not registered"),
    (("rules", "show", "nothing"), 1, "no org is registered yet"),
    (("rules", "disable"), 2, "Missing argument 'RULE...'"),
    (("rules", "rollback", "nothing", "--to", "0"), 2, "--to"),
    (("explain", "7"), 1, "there is no enrolment 7"),
    (("explain", "99999999999999999999"), 2, "99999999999999999999"),
    (("dead", "show", "7"), 1, "there is no dead letter 7"),
    (("enrollments", "list", "--limit", "0"), 2, "--limit"),
    (("forget", "--kept", "--email", "ada@example.com"), 2, "each stands alone"),
    (("forget", "--again", "-", "--block"), 2, "each stands alone"),
    (("forget", "--again", "-", "--no-exit"), 2, "each stands alone"),
    (("relay",), 2, "PENSTOCK_RELAY__WEBHOOK_URL is not set"),
    (("worker",), 2, "PENSTOCK_BROKER__URL is not set"),
    (("worker", "--object", "case"), 2, "'case' is not one of"),
)


@pytest.fixture
async def commands(
    database_url: str, tmp_path: Path, forks: Forks
) -> AsyncIterator[PenstockProcesses]:
    async with PenstockProcesses(
        {"PENSTOCK_DATABASE__URL": database_url}, tmp_path, start=forks
    ) as processes:
        yield processes


async def test_what_cannot_be_done_is_told_in_words(commands: PenstockProcesses) -> None:
    for arguments, returncode, told in MISTAKES:
        result = await commands.run(*arguments)
        assert (result.returncode, result.stdout) == (returncode, b""), (arguments, result.stderr)
        assert told in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "value", "returncode", "told"),
    [
        ("PENSTOCK_DATABSE__URL", "x", 2, "did you mean PENSTOCK_DATABASE__URL?"),
        ("PENSTOCK_DATABASE__POOL_SIZE", "many", 2, "PENSTOCK_DATABASE__POOL_SIZE: "),
        ("PENSTOCK_DATABASE__URL", "", 2, "PENSTOCK_DATABASE__URL is not set"),
        (
            "PENSTOCK_DATABASE__URL",
            "postgresql://penstock:hidden@127.0.0.1:1/penstock",
            1,
            "PostgreSQL at 127.0.0.1:1 does not answer",
        ),
        ("PENSTOCK_DATABASE__URL", "postgresql://u:hidden@host:port/x", 2, "no host or port"),
    ],
)
async def test_a_wrong_setting_is_named_and_no_secret_is_shown(
    tmp_path: Path, variable: str, value: str, returncode: int, told: str
) -> None:
    async with PenstockProcesses({variable: value}, tmp_path) as commands:
        result = await commands.run("org", "list")
    assert (result.returncode, result.stdout) == (returncode, b"")
    assert told in result.stderr
    assert "hidden" not in result.stderr
    assert "Traceback" not in result.stderr


async def test_a_new_database_is_migrated_once(commands: PenstockProcesses) -> None:
    assert (await commands.run("migrate")).stdout == b"the database is up to date\n"
    await commands.fetch("DROP SCHEMA public CASCADE")
    await commands.fetch("CREATE SCHEMA public")
    early = await commands.run("org", "list")
    assert early.returncode == 1
    assert "run `penstock migrate`" in early.stderr

    assert (await commands.run("migrate")).stdout.startswith(b"applied 0001")
    assert (await commands.run("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)).returncode == 0


async def test_the_help_names_every_command(commands: PenstockProcesses) -> None:
    told = (await commands.run("--help")).stdout.decode()
    for name in ("up", "ingest", "worker", "relay", "migrate", "org", "rules", "record", "dead"):
        assert f"\n  {name} " in told


@pytest.mark.parametrize("taken", ["PORT", "ADMIN_PORT"])
async def test_an_ingest_whose_port_is_taken_names_the_address(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = {
            # Nobody is asked before the ports are open.
            "PENSTOCK_BROKER__URL": "amqp://127.0.0.1:1",
            "PENSTOCK_DATABASE__URL": "postgresql://127.0.0.1:1/penstock",
            "PENSTOCK_LOG__LEVEL": "error",
            "PENSTOCK_INGEST__PORT": "0",
            "PENSTOCK_INGEST__ADMIN_PORT": "0",
            f"PENSTOCK_INGEST__{taken}": str(port),
        }
        async with PenstockProcesses(environment, tmp_path) as commands:
            result = await commands.run("ingest")
    assert result.returncode == 2
    told = f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert result.stderr == told


async def test_processes_on_a_database_that_was_not_migrated_wait_for_it(
    penstock: PenstockProcesses,
) -> None:
    await penstock.fetch("DROP SCHEMA public CASCADE")
    await penstock.fetch("CREATE SCHEMA public")
    webhook = {
        "PENSTOCK_RELAY__WEBHOOK_URL": "http://127.0.0.1:1",
        "PENSTOCK_RELAY__WEBHOOK_SECRET": new_secret(),
    }
    waiting = (
        await penstock.launch("worker", "WORKER", {}),
        await penstock.launch("relay", "RELAY", webhook),
    )
    for process in waiting:
        await process.until_told(penstock.session, "run `penstock migrate`")

    assert (await penstock.run("migrate")).returncode == 0
    for process in waiting:
        await process.ready(penstock.session)
