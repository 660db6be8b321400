"""A small disk for PostgreSQL, which can be filled up; as root, where mounting is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final, Self

from ops.stack.accounts import make_folder, service_account
from ops.stack.postgres import SERVICE_USER

if TYPE_CHECKING:
    from pathlib import Path

_SIZE: Final = "384m"


class SmallDisk:
    """A file system in memory for a tablespace. The cluster itself is elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_there = False

    async def __aenter__(self) -> Self:
        account = service_account(SERVICE_USER)
        make_folder(self.folder, 0o755)
        options = f"size={_SIZE},mode=0755"
        self.is_there = os.geteuid() == 0 and await _run(
            "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)
        )
        if self.is_there:
            make_folder(self.tablespace, 0o700, account)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.is_there:
            assert await _run("umount", "-l", str(self.folder))

    @property
    def tablespace(self) -> Path:
        return self.folder / "tablespace"

    def fill(self) -> None:
        """Leave no room."""
        with (self.folder / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
            while True:
                free = os.statvfs(self.folder)
                size_bytes = max(4096, free.f_bavail * free.f_frsize)
                os.posix_fallocate(ballast.fileno(), ballast.seek(0, 2), size_bytes)
                ballast.seek(0, 2)

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)


async def _run(*argv: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        return False
    return await process.wait() == 0
