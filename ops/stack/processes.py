"""One operating-system process: starting it so that it cannot be left behind, and telling it apart.

A process id is reused sooner or later. What names a process for as long as the machine is up is its
id together with the tick it started at; `identity_of` adds the boot. Linux only.

Source: prctl(2) on PR_SET_PDEATHSIG; proc(5) on /proc/pid/stat.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.stack.errors import StackError, tail_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ops.stack.accounts import Account

_PR_SET_PDEATHSIG: Final = 1
# Fields of /proc/pid/stat, counted after the command's closing parenthesis.
_STATE: Final = 0
_START_TICK: Final = 19
_libc = ctypes.CDLL(None, use_errno=True)


async def spawn(  # noqa: PLR0913  what a process is started with, each named at the call
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log_path: Path,
    cwd: Path,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> asyncio.subprocess.Process:
    """Start `argv` in a session of its own, its output appended to `log_path`.

    Ctrl-C on the terminal does not reach it. When the thread that called this ends, however it
    ends, the kernel sends it `death_signal`.
    """
    with log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else account.groups,
            preexec_fn=bound_to_parent(death_signal),
        )


async def run(  # noqa: PLR0913  as spawn
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log_path: Path,
    cwd: Path,
    account: Account | None = None,
    timeout_s: float,
) -> None:
    """Run a program to its end, its output kept in `log_path`.

    Raises:
        StackError: it failed, or was still running after `timeout_s` and was killed.
    """
    process = await spawn(argv, env=env, log_path=log_path, cwd=cwd, account=account)
    program = Path(argv[0]).name
    try:
        async with asyncio.timeout(timeout_s):
            status = await process.wait()
    except TimeoutError:
        raise StackError(f"{program} took over {timeout_s:g} s{tail_of(log_path)}") from None
    finally:
        end_group(process)
        await process.wait()
    if status != 0:
        raise StackError(f"{program} failed: it {describe(status)}{tail_of(log_path)}")


def bound_to_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a child runs first so that it gets a signal when this thread ends."""
    parent = os.getpid()

    def bind() -> None:
        # Runs in the child, after it took on its user: a change of user clears this setting.
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the kernel knew whom to tell.
            os._exit(1)

    return bind


def describe(status: int) -> str:
    """Say how a process ended, from asyncio's return code."""
    return f"died (signal {-status})" if status < 0 else f"exited (status {status})"


def end_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILL the process, if it still runs, and what is left of its group.

    Not for a process that ended a while ago: its id may name somebody else's group by now.
    """
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children_of(pid: int) -> list[int]:
    """Return the ids of the processes that `pid` has started and that still run."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def identity_of(pid: int) -> str | None:
    """Return what tells process `pid` from any other ever; None when it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE] in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{pid}/{fields[_START_TICK]}"


def is_running(identity: str) -> bool:
    """Tell whether the process that `identity_of` named still runs."""
    pid = pid_in(identity)
    return pid is not None and identity_of(pid) == identity


def pid_in(identity: str) -> int | None:
    """Return the process id inside an identity; None when the text is none."""
    parts = identity.split("/")
    if len(parts) != len(("boot", "pid", "tick")) or not parts[1].isdecimal():
        return None
    return int(parts[1])
