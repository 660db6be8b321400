"""What processes use, as the kernel counts it. Source: Linux, proc(5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat, counted behind the command's name.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)


class Usage(NamedTuple):
    """By role, the processes' children included: CPU seconds and bytes written to disk so far.

    And the highest memory.
    """

    cpu_s: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    written_bytes: Mapping[str, int]


def used(pids: Mapping[str, int]) -> Usage:
    """Return what the processes of each role have used."""
    families = {role: _family(pid) for role, pid in pids.items()}
    return Usage(
        {role: sum(map(_cpu_s, family)) for role, family in families.items()},
        {role: sum(map(_peak_bytes, family)) for role, family in families.items()},
        {role: sum(map(_written_bytes, family)) for role, family in families.items()},
    )


def _family(pid: int) -> list[int]:
    parents = {int(path.name): _stat(path) for path in Path("/proc").glob("[0-9]*")}
    children = [child for child, stat in parents.items() if stat and int(stat[_PARENT]) == pid]
    return [pid, *(one for child in children for one in _family(child))]


def _stat(path: Path) -> list[str]:
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_s(pid: int) -> float:
    # What ended children used is their parent's.
    return sum(map(int, _stat(Path(f"/proc/{pid}"))[_TIMES])) / _TICKS_PER_S


def _peak_bytes(pid: int) -> int:
    return _told(pid, "status", "VmHWM:") * 1024


def _written_bytes(pid: int) -> int:
    return _told(pid, "io", "write_bytes:")


def _told(pid: int, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name))
