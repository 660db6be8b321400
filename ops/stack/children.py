"""Child processes kept running: started, started again when they die, stopped in order.

What happens to a child is told to `said`, one line at a time, for the person at the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ops.stack.errors import StackError, tail_of
from ops.stack.processes import describe, end_group, identity_of, is_running, pid_in, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from pathlib import Path

    from ops.stack.accounts import Account

# Takes one line for the person at the terminal.
Said: TypeAlias = Callable[[str], None]

_POLL_S: Final = 0.05
_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 15.0
# A child that ran this long starts over at the first backoff when it dies.
_SETTLED_S: Final = 30.0
_LARGEST_LOG_BYTES: Final = 20_000_000


class ChildFailed(StackError):
    """A child process did not come up. Its log's last lines follow."""


@dataclass(frozen=True)
class Child:
    """A process to be kept running. The environment, which may hold secrets, is never shown.

    `ready` is asked repeatedly and returns True once the process does its work; an exception in it
    is a defect. `account` None runs it as oneself.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log_path: Path
    ready: Callable[[], Awaitable[bool]]
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_timeout_s: float = 120.0
    stop_timeout_s: float = 20.0


class Supervised:
    """One child, and the task that starts it again when it dies (only if `said` is given).

    The thread that starts it must live as long as it: the kernel ends the child with it.
    """

    def __init__(self, child: Child, said: Said | None = None) -> None:
        self._child = child
        self._said = said
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process that runs now, if one does."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the child and return once it is ready.

        A predecessor whose own parent was killed a moment ago may still be ending: it is waited
        for, at most `stop_timeout_s`, and then killed.

        Raises:
            ChildFailed: it ended or was not ready in time; nothing is left running.
        """
        await outlast_predecessor(self._child.log_path, self._child.stop_timeout_s)
        await self._launch()
        if self._said is not None:
            self._keeper = asyncio.create_task(self._keep_running(self._said))

    async def stop(self) -> None:
        """End the child: its stop signal, at most `stop_timeout_s`, then SIGKILL. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        process, self._process = self._process, None
        if process is not None:
            await self._end(process)
        if keeper is not None and not keeper.cancelled():
            # It never ends by itself but by a defect, which must not pass unseen.
            keeper.result()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._child.stop_timeout_s):
                        _signal(process, self._child.stop_signal)
                        await process.wait()
            finally:
                # Also when this very stop is cancelled: an impatient operator leaves nothing.
                end_group(process)
                await process.wait()
        identity_path(self._child.log_path).unlink(missing_ok=True)

    async def kill(self) -> None:
        """SIGKILL the process and return once it is gone. A supervised child comes back."""
        process = self._process
        if process is not None and process.returncode is None:
            end_group(process)
            await process.wait()

    async def _launch(self) -> None:
        child = self._child
        if child.log_path.exists() and child.log_path.stat().st_size > _LARGEST_LOG_BYTES:
            child.log_path.replace(child.log_path.with_suffix(".log.1"))
        process = self._process = await spawn(
            child.argv,
            env=child.env,
            log_path=child.log_path,
            cwd=child.log_path.parent,
            account=child.account,
            death_signal=child.stop_signal,
        )
        identity_path(child.log_path).write_text(identity_of(process.pid) or "")
        try:
            await self._until_ready(process)
        except BaseException:
            end_group(process)
            await process.wait()
            raise

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        child = self._child
        ended = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(child.ready_timeout_s):
                while not await child.ready():
                    if (await asyncio.wait({ended}, timeout=_POLL_S))[0]:
                        break
        except TimeoutError:
            message = f"{child.name} was not ready within {child.ready_timeout_s:g} s"
            raise ChildFailed(message + tail_of(child.log_path)) from None
        finally:
            ended.cancel()
        if process.returncode is not None:
            how = describe(process.returncode)
            raise ChildFailed(f"{child.name} {how} at its start{tail_of(child.log_path)}")

    async def _keep_running(self, said: Said) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = _FIRST_BACKOFF_S
        process = self._process
        while process is not None:
            ready_at = loop.time()
            ending = f"{self._child.name} {describe(await process.wait())}"
            died_at = loop.time()
            end_group(process)
            if died_at - ready_at > _SETTLED_S:
                backoff_s = _FIRST_BACKOFF_S
            while True:
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
                try:
                    await self._launch()
                except (ChildFailed, OSError) as error:
                    said(
                        f"{ending} and does not come up again ({str(error).splitlines()[0]};"
                        f" see {self._child.log_path}), next try in {backoff_s:g} s"
                    )
                else:
                    said(f"{ending}; started again after {loop.time() - died_at:.1f} s")
                    break
            process = self._process


class Supervisor:
    """Children of one parent, started in groups and stopped in the reverse order."""

    def __init__(self, said: Said) -> None:
        self._said = said
        self._groups: list[tuple[Supervised, ...]] = []

    async def start(self, *children: Child) -> tuple[Supervised, ...]:
        """Start a group of children at once; return when every one of them is ready.

        Raises:
            ChildFailed: one did not come up. Those that did run on until `stop`.
        """
        group = tuple(Supervised(child, self._said) for child in children)
        self._groups.append(group)
        await together(*(supervised.start() for supervised in group))
        return group

    async def stop(self) -> None:
        """Stop the groups, the last started first; the children of a group at once."""
        while self._groups:
            group = self._groups.pop()
            await together(*(supervised.stop() for supervised in group))


async def together(*steps: Awaitable[None]) -> None:
    """Run steps at once and let each come to its end; then raise the first failure, if any."""
    outcomes = await asyncio.gather(*steps, return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def identity_path(log_path: Path) -> Path:
    """Return the file beside a child's log that names the process writing to it."""
    return log_path.with_suffix(".pid")


async def outlast_predecessor(log_path: Path, timeout_s: float) -> None:
    """Wait until the process that a killed parent left at this log has ended.

    The kernel has told it to end; after `timeout_s` it gets SIGKILL.

    Raises:
        ChildFailed: not even that ended it within as long again.
    """
    path = identity_path(log_path)
    identity = path.read_text() if path.exists() else ""
    pid = pid_in(identity)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while pid is not None and is_running(identity):
        waited_s = loop.time() - began
        if waited_s > 2 * timeout_s:
            raise ChildFailed(f"process {pid} of an earlier run does not end{tail_of(log_path)}")
        if waited_s > timeout_s:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # It may have ended since it was last looked at.
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
