"""The process that forks: `python -m tests.forked 7`, where 7 is the descriptor of its socket.

It gets what to start (`tests.starting.Command`) together with four descriptors: standard input,
output and error, and a socket on which it tells the process id and, in the end, the exit code.
When its own socket closes, it kills what still runs, and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import selectors
import signal
import socket
import sys
import threading
import time
from typing import Final, TextIO

import msgspec

import ops.__main__ as penstock
from tests.starting import MAX_BYTES, NUMBER, Command

_DESCRIPTORS: Final = 4


class Forking:
    """What was started and has not ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        # By the descriptor that tells of their end.
        self._running: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> Command | None:
        """Fork for each command that comes; return it in the new process, and None in the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._running:
                    self._tell_end(key.fd)
                    continue
                told, descriptors, _, _ = socket.recv_fds(
                    self._control, MAX_BYTES, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                if not told:
                    self._kill_all()
                    return None
                if self._fork(descriptors):
                    return msgspec.msgpack.decode(told, type=Command)

    def _fork(self, descriptors: list[int]) -> bool:
        """Fork; tell whether this is the new process."""
        *standard, reply = descriptors
        pid = os.fork()
        if pid == 0:
            self._leave(standard, reply)
            return True
        for descriptor in standard:
            os.close(descriptor)
        replies = socket.socket(fileno=reply)
        _tell(replies, pid)
        ended = os.pidfd_open(pid)
        self._running[ended] = (pid, replies)
        self._selector.register(ended, selectors.EVENT_READ)
        return False

    def _leave(self, standard: list[int], reply: int) -> None:
        """Keep nothing of the process that forked but its modules."""
        self._selector.close()
        self._control.close()
        for ended, (_, replies) in self._running.items():
            os.close(ended)
            replies.close()
        os.close(reply)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        # Whether one can be sought in, or is a terminal, is found out when it is opened.
        sys.stdin = _opened(0, "r", sys.stdin)
        sys.stdout = _opened(1, "w", sys.stdout)
        sys.stderr = _opened(2, "w", sys.stderr)

    def _tell_end(self, ended: int) -> None:
        pid, replies = self._running.pop(ended)
        self._selector.unregister(ended)
        os.close(ended)
        _, status = os.waitpid(pid, 0)
        with replies:
            _tell(replies, os.waitstatus_to_exitcode(status))

    def _kill_all(self) -> None:
        for ended, (pid, _) in list(self._running.items()):
            os.kill(pid, signal.SIGKILL)
            self._tell_end(ended)


def _opened(number: int, mode: str, like: TextIO) -> TextIO:
    assert isinstance(like, io.TextIOWrapper)
    opened = os.fdopen(number, mode, encoding=like.encoding, errors=like.errors, closefd=False)
    assert isinstance(opened, io.TextIOWrapper)
    # As the interpreter names them: a command tells by it where a mistake is.
    opened.buffer.raw.name = like.name
    opened.reconfigure(line_buffering=like.line_buffering, write_through=like.write_through)
    return opened


def _tell(replies: socket.socket, number: int) -> None:
    # A test that was given up asks no more.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        replies.sendall(NUMBER.pack(number))


def main() -> None:
    """Import every command, and fork until the tests have ended."""
    for place in penstock.COMMANDS.values():
        importlib.import_module(place.partition(":")[0])
    # A fork takes no other thread along, and would wait for what that one held.
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    # From a terminal it comes to every process; the tests end this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = Forking(socket.socket(fileno=int(sys.argv[1]))).serve()
    if command is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    # As with `python -m ops`.
    sys.modules["__main__"] = penstock
    sys.argv = [str(penstock.__file__), *command.arguments]
    penstock.main()


if __name__ == "__main__":
    main()
