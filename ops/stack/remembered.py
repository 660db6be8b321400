"""What a private server keeps from its first start on: its ports and its secrets.

Ports are drawn from below the range that Linux gives to outgoing connections (32768 and up), so
that a remembered port is not lost to one of those between two starts.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ops.stack.accounts import write_secret
from ops.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FIRST_PORT: Final = 20_000
_PORT_COUNT: Final = 12_000
_TRIES: Final = 1_000
_SECRET_SIZE_BYTES: Final = 24


@dataclass(frozen=True)
class Remembered:
    """A server's ports and secrets by name. The secrets are left out of its repr."""

    ports: dict[str, int]
    secrets: dict[str, str] = field(repr=False)


def remember(path: Path, ports: Iterable[str], secret_names: Iterable[str]) -> Remembered:
    """Return what `path` (JSON, mode 0600) holds, with what is missing made up and written.

    A port that another process has taken since is replaced by a free one.
    """
    known = Remembered({}, {})
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=Remembered)
    chosen: dict[str, int] = {}
    for name in ports:
        port = known.ports.get(name)
        if port is None or not is_free(port):
            port = _free_port(taken=chosen.values())
        chosen[name] = port
    kept = {name: known.secrets.get(name) or _new_secret() for name in secret_names}
    remembered = Remembered(chosen, kept)
    if remembered != known:
        write_secret(path, msgspec.json.encode(remembered).decode())
    return remembered


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections of a predecessor that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: Iterable[int]) -> int:
    taken = set(taken)
    for _ in range(_TRIES):
        port = _FIRST_PORT + secrets.randbelow(_PORT_COUNT)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {_FIRST_PORT} and {_FIRST_PORT + _PORT_COUNT}")


def _new_secret() -> str:
    # Hexadecimal: it stands in URLs and configuration files as it is.
    return secrets.token_hex(_SECRET_SIZE_BYTES)
