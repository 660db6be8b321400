"""What every check of a file in deploy/ has in common: a tool, a command, and what it says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
TIMEOUT_S: Final = 120


class Check(NamedTuple):
    """One check; `run` returns what is wrong, a line each. Without all its tools it is skipped."""

    what: str
    tools: tuple[str, ...]
    run: Callable[[], list[str]]

    def missing(self) -> list[str]:
        """Return the tools that it needs and this machine lacks."""
        return [tool for tool in self.tools if found(tool) is None]


def found(tool: str) -> str | None:
    """Return a tool's path: of the environment, of the machine, of its servers; or None."""
    path = shutil.which(tool, path=str(ROOT / ".venv" / "bin"))
    return path or shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin")


def said(tool: str, *arguments: str) -> list[str]:
    """Run a tool; return nothing if it is content, else the lines that it wrote."""
    done = subprocess.run(  # noqa: S603  our own arguments
        [found(tool) or tool, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0:
        return []
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return lines or [f"{tool} ended with {done.returncode}"]
