"""Finding the machine's RabbitMQ and PostgreSQL programs, and installing what is missing.

Debian's and Ubuntu's packages start services of their own on the usual ports (5672, 4369, 5432).
The private servers share nothing with those but the programs.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.stack.errors import StackError
from ops.stack.processes import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.stack.children import Said

OLDEST_POSTGRES: Final = 15
_INSTALL_TIMEOUT_S: Final = 900.0
_ADVICE: Final = "sudo apt-get install -y rabbitmq-server postgresql"
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class RabbitMQPrograms:
    """RabbitMQ's own scripts (not a package's wrappers, which change user) and Erlang's epmd."""

    server: Path
    ctl: Path
    epmd: Path


@dataclass(frozen=True)
class PostgresPrograms:
    """The programs of one PostgreSQL release."""

    major: int
    initdb: Path
    postgres: Path

    @property
    def basebackup(self) -> Path:
        """What copies a server that runs."""
        return self.initdb.with_name("pg_basebackup")


def program_path(environ: Mapping[str, str] = os.environ) -> str:
    """Return the PATH to look for programs in and to give to them: the system's is always there."""
    return ":".join(part for part in (environ.get("PATH"), _SYSTEM_PATH) if part)


def find_rabbitmq(
    environ: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> RabbitMQPrograms | None:
    """Return RabbitMQ's programs: in RABBITMQ_HOME, where packages put them, or in PATH."""
    path = program_path(environ)
    epmd = shutil.which("epmd", path=path) or next(
        (str(found) for found in sorted(root.glob("usr/lib/erlang/erts-*/bin/epmd"))), None
    )
    folders = [root / "usr/lib/rabbitmq/bin"]
    if home := environ.get("RABBITMQ_HOME"):
        folders = [Path(home, "sbin"), Path(home, "bin"), *folders]
    if in_path := shutil.which("rabbitmq-server", path=path):
        folders.append(Path(in_path).resolve().parent)
    for folder in folders:
        server, ctl = folder / "rabbitmq-server", folder / "rabbitmqctl"
        if epmd is not None and os.access(server, os.X_OK) and os.access(ctl, os.X_OK):
            return RabbitMQPrograms(server, ctl, Path(epmd))
    return None


async def find_postgres(
    major: int | None = None, environ: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> PostgresPrograms | None:
    """Return the programs of release `major`, else of the newest from `OLDEST_POSTGRES` on."""
    newest: PostgresPrograms | None = None
    for folder in _postgres_folders(environ, root):
        found = await _postgres_in(folder)
        if found is None or found.major < OLDEST_POSTGRES or major not in (None, found.major):
            continue
        if newest is None or found.major > newest.major:
            newest = found
    return newest


def _postgres_folders(environ: Mapping[str, str], root: Path) -> list[Path]:
    folders = set(root.glob("usr/lib/postgresql/*/bin"))
    if in_path := shutil.which("postgres", path=program_path(environ)):
        folders.add(Path(in_path).resolve().parent)
    return sorted(folders)


async def _postgres_in(folder: Path) -> PostgresPrograms | None:
    initdb, postgres = folder / "initdb", folder / "postgres"
    if not (os.access(initdb, os.X_OK) and os.access(postgres, os.X_OK)):
        return None
    asked = await asyncio.create_subprocess_exec(
        postgres, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    answer, _ = await asked.communicate()
    version = re.search(rb"\(PostgreSQL\) (\d+)", answer)
    return PostgresPrograms(int(version[1]), initdb, postgres) if version else None


async def rabbitmq() -> RabbitMQPrograms:
    """Return RabbitMQ's programs.

    Raises:
        StackError: not installed; says what to install.
    """
    found = find_rabbitmq()
    if found is None:
        raise StackError(f"RabbitMQ is not installed: {_ADVICE}")
    return found


async def postgres(major: int | None = None) -> PostgresPrograms:
    """Return PostgreSQL's programs, of release `major` if data of that release is there already.

    Raises:
        StackError: not installed; says what to install.
    """
    found = await find_postgres(major)
    if found is None and major is not None:
        raise StackError(f"this data needs PostgreSQL {major}: apt-get install postgresql-{major}")
    if found is None:
        raise StackError(f"PostgreSQL {OLDEST_POSTGRES} or newer is not installed: {_ADVICE}")
    return found


async def install_missing(
    *, broker: bool, database: bool, log_path: Path, said: Said, apt_get: str | None = None
) -> None:
    """Install what is missing of the servers asked for, where that is possible: as root, by apt.

    `apt_get` stands in for the machine's own program of that name.

    Raises:
        StackError: something is missing and cannot be installed here, or the installation failed
            (the end of its log follows).
    """
    packages = []
    if broker and find_rabbitmq() is None:
        packages.append("rabbitmq-server")
    if database and await find_postgres() is None:
        packages.append("postgresql")
    if not packages:
        return
    apt_get = apt_get or shutil.which("apt-get", path=program_path())
    if apt_get is None or os.geteuid() != 0:
        raise StackError(f"{' and '.join(packages)} not found: {_ADVICE}")
    said(f"Installing {' and '.join(packages)} with apt-get; its output is in {log_path}")
    await _install(apt_get, packages, log_path)
    if broker:
        await rabbitmq()
    if database:
        await postgres()


async def _install(apt_get: str, packages: Sequence[str], log_path: Path) -> None:
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "PATH": program_path()}
    install = [apt_get, "install", "-y", "--no-install-recommends", *packages]
    for argv in ([apt_get, "update"], install):
        await run(
            argv, env=env, log_path=log_path, cwd=log_path.parent, timeout_s=_INSTALL_TIMEOUT_S
        )
