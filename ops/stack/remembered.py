"""What a private server keeps from its first start on: its ports and its secrets."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ops.stack.accounts import write_secret
from ops.stack.ports import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
            port = free_port(taken=chosen.values())
        chosen[name] = port
    kept = {name: known.secrets.get(name) or _new_secret() for name in secret_names}
    remembered = Remembered(chosen, kept)
    if remembered != known:
        write_secret(path, msgspec.json.encode(remembered).decode())
    return remembered


def _new_secret() -> str:
    # Hexadecimal: it stands in URLs and configuration files as it is.
    return secrets.token_hex(_SECRET_SIZE_BYTES)
