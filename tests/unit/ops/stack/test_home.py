from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ops.stack import Home, StackError, discover
from ops.stack.processes import identity_of

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {"PENSTOCK_DATABASE__URL": "postgresql://penstock:hidden@127.0.0.1:1/penstock"}


def test_an_announced_stack_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert discover(tmp_path) == {}
    home.announce(ENVIRONMENT)
    assert discover(tmp_path) == ENVIRONMENT
    assert (home.path / "stack.json").stat().st_mode & 0o777 == 0o600
    home.withdraw()
    assert discover(tmp_path) == {}


@pytest.mark.parametrize("forged", ["999999999", "0"])
def test_the_stack_of_a_dead_or_reused_process_is_ignored(tmp_path: Path, forged: str) -> None:
    home = Home(tmp_path)
    home.announce(ENVIRONMENT)
    identity = identity_of(os.getpid())
    assert identity is not None
    boot, pid, tick = identity.split("/")
    # A dead process's id, or our own id with another process's start.
    stale = f"{boot}/{forged}/{tick}" if forged != "0" else f"{boot}/{pid}/0"
    file = home.path / "stack.json"
    file.write_text(file.read_text().replace(identity, stale))
    assert discover(tmp_path) == {}


def test_a_second_stack_in_the_same_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with Home(tmp_path).lock():
        refusal = f"a stack is already running in .* \\(process {os.getpid()}\\)"
        with pytest.raises(StackError, match=refusal), Home(tmp_path).lock():
            pass
    with Home(tmp_path).lock():
        pass


def test_a_home_stays_out_of_version_control(tmp_path: Path) -> None:
    assert (Home(tmp_path).path / ".gitignore").read_text() == "*\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_the_stack_of_another_user_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.announce(ENVIRONMENT)
    file = home.path / "stack.json"
    os.chown(file, 4711, -1)
    assert discover(tmp_path) == {}
    # Root's is everyone's who can read it, and one's own is one's own.
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert discover(tmp_path) == ENVIRONMENT
    os.chown(file, 0, -1)
    assert discover(tmp_path) == ENVIRONMENT


def test_only_the_urls_of_a_stack_are_taken_over(tmp_path: Path) -> None:
    urls = {**ENVIRONMENT, "PENSTOCK_BROKER__URL": "amqp://penstock:hidden@127.0.0.1:1/"}
    other = {"PENSTOCK_RELAY__WEBHOOK_URL": "https://example.com", "LD_PRELOAD": "x.so"}
    Home(tmp_path).announce({**urls, **other})
    assert discover(tmp_path) == urls
