"""A runbook's commands, read from its page and run as they stand there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.deployment.check import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER: Final = DEPLOY / "runbooks"
UNITS_FOLDER: Final = "units"
_HEADING: Final = re.compile(r"^(##+) (.+)$")
# A node of RabbitMQ takes its time on a busy machine.
_TIMEOUT_S: Final = 240.0


class Section(NamedTuple):
    """What stands under a heading: its commands, and those of each heading below it."""

    commands: list[str]
    cases: dict[str, list[str]]


def sections(path: Path) -> dict[str, Section]:
    """Return the page's sections by heading: Symptom stands above, then Check, Mend, Verify."""
    found: dict[str, Section] = {}
    commands: list[str] = []
    section = Section([], {})
    for line in path.read_text("utf-8").splitlines():
        if heading := _HEADING.match(line):
            commands = []
            if heading[1] == "##":
                section = found[heading[2]] = Section(commands, {})
            else:
                section.cases[heading[2]] = commands
        elif line.lstrip().startswith("$ "):
            commands.append(line.lstrip().removeprefix("$ "))
    return found


class Ran(NamedTuple):
    """A command, how it ended and what it printed."""

    command: str
    code: int
    printed: str


async def run(command: str, environment: Mapping[str, str], folder: Path) -> Ran:
    """Run a command by bash. Its settings and units are in `folder` instead of on this machine."""
    here = {"/etc/penstock/": f"{folder}/", "/etc/systemd/system/": f"{folder}/{UNITS_FOLDER}/"}
    for there, place in here.items():
        command = command.replace(there, place)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_TIMEOUT_S):
        printed = (await process.communicate())[0].decode(errors="replace")
    return Ran(command, process.returncode or 0, printed)
