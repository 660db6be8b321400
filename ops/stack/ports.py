"""Ports on this machine.

They are drawn from below the range that Linux gives to outgoing connections (32768 and up), so that
none of those takes a port between its choice and its use, or between two starts of its server.
"""

from __future__ import annotations

import secrets
import socket
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
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _PORT_COUNT}")
