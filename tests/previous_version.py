"""The code of the version before, out of this clone's own history."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Final

# What is installed; tests and documents make no version.
_PRODUCT: Final = ("ingest", "ops", "pipeline", "rules", "workers")
_ROOT: Final = Path(__file__).parents[1]
# Any commit, to upgrade from.
FROM: Final = "UPGRADE_FROM"


class NoPreviousVersion(Exception):
    """There is none here; says why."""


def previous_commit() -> str:
    """Return the commit that is upgraded from.

    The one that `UPGRADE_FROM` names; else the last release before this; else what this clone had
    before the product last changed.

    Raises:
        NoPreviousVersion: this is no clone, or one without that part of the history.
    """
    if named := os.environ.get(FROM):
        return _commit(named)
    if _git("rev-parse", "--is-shallow-repository") == "true":
        raise NoPreviousVersion("the clone is shallow: git fetch --unshallow --tags")
    if release := _git("tag", "--list", "v[0-9]*", "--merged", "HEAD^", "--sort=-version:refname"):
        return _commit(release.splitlines()[0])
    if _git("status", "--porcelain", "--", *_PRODUCT):
        return _commit("HEAD")
    changed = _git("log", "-1", "--format=%H", "--", *_PRODUCT)
    return _commit(f"{changed}^")


def unpack(commit: str, folder: Path) -> Path:
    """Write what a commit installs into a folder; return it."""
    archive = _run("archive", commit, *_PRODUCT)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def _commit(name: str) -> str:
    return _git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")


def _git(*arguments: str) -> str:
    return _run(*arguments).decode().strip()


def _run(*arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  no shell, and words of ours
            ["git", "-C", str(_ROOT), *arguments],  # noqa: S607  the machine's own git
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        raise NoPreviousVersion("there is no git here") from None
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode().strip()
        # A clone that cannot be read is a fault; what was unpacked from an archive has no versions.
        if (_ROOT / ".git").exists():
            raise RuntimeError(told) from None
        raise NoPreviousVersion(told) from None
    return done.stdout
