"""Commands that are forked are what they are when people start them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import pytest

from ops.__main__ import COMMANDS
from tests.processes import PenstockProcesses
from tests.starting import AFRESH, Command, Forks, Standard

if TYPE_CHECKING:
    from pathlib import Path

# It serves /healthz, and waits for a broker and a database that nobody runs.
RELAY: Final = {
    "PENSTOCK_BROKER__URL": "amqp://127.0.0.1:1",
    "PENSTOCK_DATABASE__URL": "postgresql://127.0.0.1:1/penstock",
    "PENSTOCK_RELAY__WEBHOOK_URL": "http://127.0.0.1:1",
    "PENSTOCK_RELAY__WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        *(((command, "--help"), {}) for command in COMMANDS),
        (("--version",), {}),
        (("--help",), {"COLUMNS": "60"}),
        (("worker", "--object", "case"), {}),
        (("org", "list"), {"PENSTOCK_DATABASE__URL": "postgresql://127.0.0.1:1/penstock"}),
        (("rules", "check", "-"), {"PENSTOCK_DATABASE__URL": "postgresql://127.0.0.1:1/penstock"}),
        (("rules", "check", "-"), {"PYTHONIOENCODING": "ascii"}),
    ],
)
async def test_it_says_and_returns_the_same(
    tmp_path: Path, forks: Forks, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    one, other = [
        await PenstockProcesses(environment, tmp_path, start=start).run(*arguments, stdin="é: [")
        for start in (AFRESH, forks)
    ]
    assert (one.returncode, one.stdout, one.stderr) == (
        other.returncode,
        other.stdout,
        other.stderr,
    )
    assert one.stdout or one.stderr


async def test_it_takes_signals_and_its_end_is_told(tmp_path: Path, forks: Forks) -> None:
    async with PenstockProcesses(RELAY, tmp_path, start=forks) as processes:
        one, other = [await processes.launch("relay", "RELAY", {}) for _ in range(2)]
        for running in (one, other):
            await running.until_told(processes.session, "database")
        assert one.pid != other.pid
        assert await one.terminate() == 0, one.log
        await other.kill()
        assert other.code == -signal.SIGKILL


async def test_what_still_runs_ends_with_what_forked_it(tmp_path: Path) -> None:
    log_path = tmp_path / "log"
    environment = PenstockProcesses(RELAY, tmp_path).environment
    with log_path.open("wb") as log, Forks() as forks:
        command = Command(("relay",), environment)
        process = await forks(command, Standard(0, log.fileno(), log.fileno()))
    async with asyncio.timeout(10):
        assert await process.wait() == -signal.SIGKILL
