from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ops.stack import StackError, programs
from ops.stack.programs import find_postgres, find_rabbitmq, install_missing

if TYPE_CHECKING:
    from pathlib import Path

NO_PATH = {"PATH": "/nonexistent"}


def executable(path: Path, script: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def postgres(root: Path, major: int) -> None:
    folder = root / f"usr/lib/postgresql/{major}/bin"
    executable(folder / "initdb")
    executable(folder / "postgres", f"echo 'postgres (PostgreSQL) {major}.4 (Debian)'")


@pytest.fixture(autouse=True)
def only_what_the_test_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SYSTEM_PATH", "/nonexistent")


async def test_the_newest_postgres_is_taken_by_number_not_by_name(tmp_path: Path) -> None:
    for major in (9, 15, 16, 100):
        postgres(tmp_path, major)
    found = await find_postgres(None, NO_PATH, tmp_path)
    assert found is not None
    assert found.major == 100


async def test_data_that_exists_is_served_by_its_own_release(tmp_path: Path) -> None:
    for major in (15, 16):
        postgres(tmp_path, major)
    found = await find_postgres(15, NO_PATH, tmp_path)
    assert found is not None
    assert found.initdb == tmp_path / "usr/lib/postgresql/15/bin/initdb"


async def test_a_postgres_that_is_too_old_is_none(tmp_path: Path) -> None:
    postgres(tmp_path, 14)
    assert await find_postgres(None, NO_PATH, tmp_path) is None


def test_rabbitmq_is_found_in_its_home_before_the_packages_place(tmp_path: Path) -> None:
    executable(tmp_path / "usr/lib/erlang/erts-13/bin/epmd")
    for folder in ("usr/lib/rabbitmq/bin", "opt/rabbitmq/sbin"):
        executable(tmp_path / folder / "rabbitmq-server")
        executable(tmp_path / folder / "rabbitmqctl")
    environ = NO_PATH | {"RABBITMQ_HOME": str(tmp_path / "opt/rabbitmq")}
    with_home, without = find_rabbitmq(environ, tmp_path), find_rabbitmq(NO_PATH, tmp_path)
    assert with_home is not None
    assert without is not None
    assert with_home.server == tmp_path / "opt/rabbitmq/sbin/rabbitmq-server"
    assert without.ctl == tmp_path / "usr/lib/rabbitmq/bin/rabbitmqctl"


def test_rabbitmq_without_epmd_is_none(tmp_path: Path) -> None:
    executable(tmp_path / "usr/lib/rabbitmq/bin/rabbitmq-server")
    executable(tmp_path / "usr/lib/rabbitmq/bin/rabbitmqctl")
    assert find_rabbitmq(NO_PATH, tmp_path) is None


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_postgres(_major: int | None = None) -> None: ...

    monkeypatch.setattr(programs, "find_rabbitmq", lambda: None)
    monkeypatch.setattr(programs, "find_postgres", no_postgres)


@pytest.mark.usefixtures("nothing_installed")
async def test_without_root_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError) as caught:
        await install_missing(
            broker=True, database=True, log_path=tmp_path / "log", said=pytest.fail
        )
    advice = "sudo apt-get install -y rabbitmq-server postgresql"
    assert str(caught.value) == f"rabbitmq-server and postgresql not found: {advice}"


@pytest.mark.usefixtures("nothing_installed")
async def test_as_root_what_is_missing_is_installed_and_a_failure_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[str] = []
    apt_get = executable(
        tmp_path / "apt-get",
        'echo "$DEBIAN_FRONTEND: $*"; test "$1" = update || { echo E: no space; exit 100; }',
    )
    with pytest.raises(StackError, match=r"apt-get failed: it exited \(status 100\)") as caught:
        await install_missing(
            broker=True,
            database=False,
            log_path=tmp_path / "log",
            said=said.append,
            apt_get=str(apt_get),
        )
    assert "E: no space" in str(caught.value)
    assert (tmp_path / "log").read_text().splitlines()[:2] == [
        "noninteractive: update",
        "noninteractive: install -y --no-install-recommends rabbitmq-server",
    ]
    assert len(said) == 1
    assert said[0].startswith("Installing rabbitmq-server with apt-get")
