"""deploy/systemd: units that systemd takes, confined, whose settings are settings."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.settings import FILE, SettingsError, load
from tests.deployment import drain
from tests.deployment.check import DEPLOY, Check, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER: Final = DEPLOY / "systemd"
EXAMPLE: Final = FOLDER / "penstock.env.example"
COMMON: Final = FOLDER / "penstock-.service.d" / "common.conf"
# Tenths of what `systemd-analyze security` calls exposure, from 0 to 100; it calls 10 to 40 "OK".
_EXPOSURE: Final = 15
# What systemd brings, and these units name.
_TARGETS: Final = (
    "basic",
    "multi-user",
    "network-online",
    "shutdown",
    "sysinit",
    "time-set",
    "time-sync",
    "timers",
)
_PROGRAM: Final = re.compile(r"^ExecStart=(/\S+)", re.MULTILINE)
_ASSIGNMENT: Final = re.compile(r"(PENSTOCK_\w+)=(\S+)")
_STOP: Final = re.compile(r"^TimeoutStopSec=(\d+)$", re.MULTILINE)


def units() -> list[str]:
    """Return the names of all units, of the template an instance."""
    names = (
        path.name for path in FOLDER.iterdir() if path.suffix in {".service", ".target", ".timer"}
    )
    return sorted(name.replace("@.", "@lead.") for name in names)


@contextmanager
def installed() -> Iterator[Path]:
    """Give a root of a file system in which the units are installed, and what they start."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        target = root / "etc/systemd/system"
        shutil.copytree(FOLDER, target)
        for unit in _TARGETS:
            (target / f"{unit}.target").write_text("[Unit]\n")
        for service in FOLDER.glob("*.service"):
            program = root / _PROGRAM.findall(service.read_text())[0].lstrip("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.touch(mode=0o755)
        for unit in units():
            if "@" in unit:
                (target / unit).symlink_to(re.sub(r"@.*\.", "@.", unit))
        yield root


def check_units() -> list[str]:
    """Have systemd read each unit; whatever it says is wrong."""
    with installed() as root:
        return [line for unit in units() for line in analysed(root, "verify", unit)]


def check_exposure() -> list[str]:
    """Have systemd judge how far each service is confined."""
    options = ("security", "--offline=true", f"--threshold={_EXPOSURE}", "--no-pager")
    services = [unit for unit in units() if unit.endswith(".service")]
    with installed() as root:
        return [
            f"{unit}: more exposed than {_EXPOSURE / 10}"
            for unit in services
            if said("systemd-analyze", *options, f"--root={root}", unit)
        ]


def analysed(root: Path, *words: str) -> list[str]:
    """Return what systemd-analyze says, which is nothing where it is content."""
    # A warning, such as of a name that it does not know, is no failure to it.
    script = [
        "-c",
        'exec systemd-analyze "$@" 2>&1 | { ! grep .; }',
        "sh",
        *words,
        f"--root={root}",
    ]
    return said("sh", *script)


def check_settings() -> list[str]:
    """See that units and example set what are settings, and give them time to drain."""
    common = COMMON.read_text()
    stop_s = int(_STOP.findall(common)[0])
    problems = []
    for unit in sorted(FOLDER.glob("*.service")):
        texts = (common, EXAMPLE.read_text(), unit.read_text())
        try:
            settings = load(_settings_of(texts))
        except SettingsError as error:
            problems.append(f"{unit.name}: {error}")
            continue
        if stop_s < drain.longest_s(settings):
            problems.append(f"TimeoutStopSec={stop_s} is too short to drain")
        loaded = set(re.findall(r"^LoadCredential=([\w-]+):", unit.read_text(), re.MULTILINE))
        used = set(re.findall(r"%d/([\w-]+)", unit.read_text()))
        problems += [f"{unit.name}: {name} is loaded or used alone" for name in loaded ^ used]
    return problems


def _settings_of(texts: Sequence[str]) -> dict[str, str]:
    lines = "\n".join(line for text in texts for line in text.splitlines() if line[:1] != "#")
    found = dict(_ASSIGNMENT.findall(lines))
    # What is in files is made up, of the form that each has.
    urls = {"BROKER__URL": "amqp://x", "DATABASE__URL": "postgresql://x"}
    secrets = {f"PENSTOCK_{name}": url for name, url in urls.items()}
    secrets["PENSTOCK_RELAY__WEBHOOK_SECRET"] = "whsec_" + "ab" * 24
    named = {name.removesuffix(FILE) for name, text in found.items() if text.startswith("%d/")}
    plain = {name: text for name, text in found.items() if not text.startswith("%d/")}
    # What they name is on the machine that the example is for.
    for server in ("BROKER", "DATABASE"):
        del plain[f"PENSTOCK_{server}__CA_FILE"]
    return plain | {name: secrets[name] for name in named}


CHECKS: Final = (
    Check("systemd: units as systemd reads them", ("systemd-analyze",), check_units),
    Check("systemd: services confined", ("systemd-analyze",), check_exposure),
    Check("systemd: settings, credentials, time to drain", (), check_settings),
)
