"""Ports on this machine.

They are drawn from below the range that Linux gives to outgoing connections (32768 and up), so that
none of those takes a port between its choice and its use, or between two starts of its server. What
one process has drawn no other process of the same user draws while the first one runs.

Source: fcntl(2): a process's locks on the bytes of a file go with the process.
"""

from __future__ import annotations

import fcntl
import functools
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Container

LOOPBACK: Final = "127.0.0.1"

_FIRST_PORT: Final = 20_000
_PORT_COUNT: Final = 12_000
_TRIES: Final = 1_000


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on a port now."""
    with socket.socket() as probe:
        # As servers do: connections of a predecessor that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(taken: Container[int] = ()) -> int:
    """Return a port of loopback that nobody listens on and that is not among `taken`.

    Raises:
        StackError: there is none.
    """
    for _ in range(_TRIES):
        port = _FIRST_PORT + secrets.randbelow(_PORT_COUNT)
        if port not in taken and _reserve(port) and is_free(port):
            return port
    raise StackError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _PORT_COUNT}")


def _reserve(port: int) -> bool:
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@functools.cache
def _reservations() -> int:
    """Return the file whose bytes stand for ports. It is never closed: that would free them all."""
    path = Path(tempfile.gettempdir(), f"penstock-ports-{os.geteuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
