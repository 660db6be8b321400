"""The one error that the local stack raises for the operator to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 16_384


class StackError(Exception):
    """The local stack cannot do what was asked. The first line says why and what to do."""


def tail_of(log_path: Path) -> str:
    """Return the last lines of a log, each indented, to stand below an error's first line."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        lines = []
    return "".join(f"\n  {line}" for line in (f"{log_path} ends:", *lines))
