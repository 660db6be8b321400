"""How tests start Penstock's commands: as people do, or forked from what has imported them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_BYTES: Final = 200_000
# A process id, or an exit code.
NUMBER: Final = struct.Struct("!i")
# What the interpreter itself reads, once, when it starts.
_READ_BY_PYTHON: Final = ("PYTHON", "LC_", "LANG")
_END_TIMEOUT_S: Final = 30.0


class Command(msgspec.Struct, frozen=True):
    """The words after `penstock`, and the whole environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


class Standard(NamedTuple):
    """The descriptors of a process's standard input, output and error."""

    stdin: int
    stdout: int
    stderr: int


class Process(Protocol):
    """A process that was started, as asyncio has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, number: int, /) -> None: ...


class Start(Protocol):
    """Starts a command."""

    async def __call__(self, command: Command, standard: Standard) -> Process: ...


class Fresh:
    """Starts commands as people do.

    `program` runs in the place of `penstock`; `code` is the folder of another version's code, which
    runs in the place of this one's.
    """

    def __init__(self, program: Sequence[str] = ("-m", "ops"), code: Path | None = None) -> None:
        self._program = program
        # Python looks for what it runs in the folder that it runs in, before all others.
        self._code = code

    async def __call__(self, command: Command, standard: Standard) -> Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *self._program,
            *command.arguments,
            env=command.environment,
            cwd=self._code,
            stdin=standard.stdin,
            stdout=standard.stdout,
            stderr=standard.stderr,
        )


AFRESH: Final = Fresh()


class Forks:
    """Starts commands from a process that has imported all of them, as long as it is entered."""

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._template = subprocess.Popen(  # noqa: S603  this very project
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._template.wait(_END_TIMEOUT_S)

    async def __call__(self, command: Command, standard: Standard) -> Process:
        """Start a command. One whose interpreter is to be another is started afresh."""
        if _of_interpreter(command.environment) != _of_interpreter(os.environ):
            return await AFRESH(command, standard)
        told = msgspec.msgpack.encode(command, enc_hook=str)
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        with theirs:
            socket.send_fds(self._control, [told], [*standard, theirs.fileno()])
        return _Forked(await _number(mine), mine)


class _Forked:
    """One process that was forked."""

    def __init__(self, pid: int, replies: socket.socket) -> None:
        self.pid = pid
        self._code = asyncio.ensure_future(self._read(replies))

    @property
    def returncode(self) -> int | None:
        return self._code.result() if self._code.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    def send_signal(self, number: int, /) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _read(self, replies: socket.socket) -> int:
        with replies:
            return await _number(replies)


async def _number(replies: socket.socket) -> int:
    told = await asyncio.get_running_loop().sock_recv(replies, NUMBER.size)
    assert told, "the process that forks ended"
    number: int = NUMBER.unpack(told)[0]
    return number


def _of_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_BY_PYTHON)}
