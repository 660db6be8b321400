from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.__main__ import cli
from ops.stack.ports import free_port
from pipeline.admin import AdminServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Process:
    """What a process shows on its admin port; the test sets what is wrong with it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.problem: str | None = None

    def check(self) -> str | None:
        return self.problem


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process(free_port())
    checks = {"registry": lambda: None, "broker": process.check}
    async with AdminServer("127.0.0.1", process.port, checks):
        yield process


async def probed(*arguments: object) -> tuple[int, str]:
    words = ["probe", *map(str, arguments)]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    return result.exit_code, result.output


async def test_a_process_that_can_work_is_ready_and_alive(process: Process) -> None:
    assert await probed(process.port) == (0, "alive\n")
    assert await probed("--ready", process.port) == (0, "ready\n")


async def test_one_that_cannot_work_is_alive_and_says_what_it_lacks(process: Process) -> None:
    process.problem = "not connected"
    assert await probed(process.port) == (0, "alive\n")
    assert await probed("--ready", process.port) == (
        1,
        f"Error: port {process.port}: broker: not connected\n",
    )


async def test_one_that_is_not_there_is_not_alive(process: Process) -> None:
    absent = free_port()
    code, output = await probed(process.port, absent)
    assert code == 1
    assert output.startswith(f"Error: port {absent}: ")
    assert "refused" in output
