"""Several processes of one kind under one that starts them, passes signals on, and ends with them.

A Python process keeps one core busy, so that more of them is what uses more cores.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import structlog

from ops.stack.processes import bound_to_parent, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger()

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


async def run_several(argv: Sequence[str], environments: Sequence[Mapping[str, str]]) -> int:
    """Run `argv` once with each environment until all have ended; return the exit code.

    A signal goes to all of them: the first drains, the second kills. One that is ended by it while
    it starts had nothing to drain. When one ends unasked, the others are drained, and the code is
    1: whoever started this starts all of them again. If this process is killed, the kernel has
    them drain.
    """
    processes = [await _start(argv, environment) for environment in environments]
    log.info("started", pids=[process.pid for process in processes])
    stopping = asyncio.Event()

    def on_signal(received: signal.Signals) -> None:
        stopping.set()
        for process in processes:
            if process.returncode is None:
                process.send_signal(received)

    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, on_signal, number)
    waits = {asyncio.create_task(process.wait()): process for process in processes}
    failed = False
    pending = set(waits)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            status = ended.result()
            asked = stopping.is_set() and -status in {0, *_STOPPING}
            if not asked:
                failed = True
                log.error("ended_unasked", pid=waits[ended].pid, how=describe(status))
        if failed and not stopping.is_set():
            on_signal(signal.SIGTERM)
    return int(failed)


async def _start(argv: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    # In a session of its own: Ctrl-C on the terminal comes once, from here.
    return await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        start_new_session=True,
        preexec_fn=bound_to_parent(signal.SIGTERM),
    )
