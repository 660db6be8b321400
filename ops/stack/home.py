"""Where a local stack lives: `.penstock/` in the folder that `penstock up` was run in.

| name                    | what it holds                                                        |
|-------------------------|----------------------------------------------------------------------|
| `lock`                  | locked while a stack runs here; the id of the process that holds it  |
| `stack.json`            | while the servers are up: their URLs, and whose they are (mode 0600) |
| `postgres` `rabbitmq`   | the servers, unless their users cannot enter this folder             |
| `install.log`           | what apt-get printed, if it had to install something                 |

Commands run in the same folder find the stack by `discover`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ops.stack.accounts import make_folder, write_secret
from ops.stack.errors import StackError
from ops.stack.processes import identity_of, is_running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BROKER_URL: Final = "PENSTOCK_BROKER__URL"
DATABASE_URL: Final = "PENSTOCK_DATABASE__URL"
_SERVICE_FOLDERS: Final = Path("/var/lib/penstock")


class _Announcement(msgspec.Struct, frozen=True):
    """The content of `stack.json`; `owner` is the identity of the process that runs the stack."""

    owner: str
    environment: dict[str, str]


class Home:
    """`.penstock/` in `folder`, made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.path = _home_of(folder)
        # As root the servers' own users have to pass through; what is secret has modes of its own.
        make_folder(self.path, 0o755 if os.geteuid() == 0 else 0o700)
        # A stack in somebody's repository never ends up in a commit.
        (self.path / ".gitignore").write_text("*\n")

    @property
    def service_folder(self) -> Path:
        """Where servers live whose users cannot enter `path`: one place for each such path."""
        return _SERVICE_FOLDERS / hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this home for one stack. The kernel lets go when the process ends, however it does.

        Raises:
            StackError: a stack runs here already; names its process.
        """
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise StackError(
                    f"a stack is already running in {self.path.parent} (process {holder})"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def announce(self, environment: Mapping[str, str]) -> None:
        """Let `discover` find the servers whose URLs `environment` holds, while we live."""
        owner = identity_of(os.getpid())
        if owner is None:
            raise StackError("/proc does not show this process: the local stack needs Linux")
        announcement = _Announcement(owner, dict(environment))
        write_secret(self.path / "stack.json", msgspec.json.encode(announcement).decode())

    def withdraw(self) -> None:
        """Take back what was announced."""
        (self.path / "stack.json").unlink(missing_ok=True)


def discover(folder: Path) -> dict[str, str]:
    """Return the settings that reach the stack running in `folder`; {} when none does.

    Raises:
        StackError: one may be running, but its `stack.json` is for another user's eyes.
    """
    path = _home_of(folder) / "stack.json"
    try:
        # Whoever could write here would choose which servers our commands talk to.
        if path.stat().st_uid not in (0, os.geteuid()):
            return {}
        announcement = msgspec.json.decode(path.read_bytes(), type=_Announcement)
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise StackError(f"{path} belongs to another user: run as the one of penstock up") from None
    if not is_running(announcement.owner):
        return {}
    known = (BROKER_URL, DATABASE_URL)
    return {name: url for name, url in announcement.environment.items() if name in known}


def _home_of(folder: Path) -> Path:
    return folder.resolve() / ".penstock"
