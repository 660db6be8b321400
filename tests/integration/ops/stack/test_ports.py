from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from ops.stack import ports
from ops.stack.errors import StackError
from ops.stack.ports import free_port

DRAW = "from ops.stack.ports import free_port; print(free_port(), flush=True); input()"


async def test_what_another_process_has_drawn_is_not_drawn_while_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DRAW, stdin=PIPE, stdout=PIPE
    )
    try:
        assert other.stdout is not None
        port = int(await other.stdout.readline())
        monkeypatch.setattr(ports, "_FIRST_PORT", port)
        monkeypatch.setattr(ports, "_PORT_COUNT", 1)
        with pytest.raises(StackError, match="no free port"):
            free_port()
    finally:
        await other.communicate(b"\n")
    assert free_port() == port
