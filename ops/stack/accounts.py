"""The users that servers run as, and files and folders that belong to them.

Both servers refuse root, or should: as root each runs as the service user that its package made.
As anyone else they run as oneself, and every account here is None.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.stack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A user of this machine, as a child process takes it on."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def service_account(name: str) -> Account | None:
    """Return the service user `name`; None when this process is not root or there is none."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return Account(name, entry.pw_uid, entry.pw_gid, groups)


async def can_reach(account: Account | None, folder: Path) -> bool:
    """Tell whether `account` may enter `folder`. The kernel is asked, so that ACLs count too."""
    if account is None:
        return True
    probe = await asyncio.create_subprocess_exec(
        "/usr/bin/test",
        "-x",
        str(folder),
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
    )
    return await probe.wait() == 0


def make_folder(folder: Path, mode: int, account: Account | None = None) -> None:
    """Make `folder`, owned by `account` (None: oneself), unless it is there already.

    Raises:
        StackError: it is there and belongs to someone else, so a server could not use it.
    """
    uid = os.geteuid() if account is None else account.uid
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        owner = folder.stat().st_uid
        if owner != uid:
            raise StackError(
                f"{folder} belongs to another user (uid {owner}, not {uid}): run as the user that"
                " made it, or remove it to begin afresh"
            ) from None
        return
    # mkdir's own mode is cut by the umask.
    folder.chmod(mode)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def write_secret(path: Path, text: str, account: Account | None = None) -> None:
    """Write a file that only `account` (None: oneself) may read, whole or not at all."""
    written = path.with_name(path.name + ".new")
    written.unlink(missing_ok=True)
    # Exclusive: never through a link that someone left there.
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if account is not None:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
    written.replace(path)
