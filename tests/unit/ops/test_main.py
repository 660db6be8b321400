from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ops.__main__ import COMMANDS, Penstock, cli
from ops.errors import OpsError, WrongUsage
from ops.stack import StackError
from pipeline.settings import SettingsError
from rules import Mistake, RuleError

if TYPE_CHECKING:
    from pathlib import Path


def failing(error: Exception) -> Penstock:
    """Return a command line whose every command fails."""

    class Failing(Penstock):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            del ctx

            @click.command(cmd_name)
            def fail() -> None:
                raise error

            return fail

    return Failing()


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (OpsError("it cannot"), 1),
        (StackError("it cannot"), 1),
        (WrongUsage("it cannot"), 2),
        (SettingsError("it cannot"), 2),
    ],
)
def test_an_error_that_a_person_can_act_on_is_one_sentence(
    error: Exception, exit_code: int
) -> None:
    result = CliRunner().invoke(failing(error), ["anything"])
    assert (result.exit_code, result.stderr) == (exit_code, "Error: it cannot\n")


def test_mistakes_in_rules_are_told_each_on_a_line_that_starts_with_its_place() -> None:
    error = RuleError([Mistake("a.yaml", 7, "no"), Mistake("a.yaml", 2, "never")])
    result = CliRunner().invoke(failing(error), ["anything"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "a.yaml:2: never\na.yaml:7: no\n"


def test_every_command_can_be_imported_and_says_what_it_does() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0
        assert re.search(r"\n\n  [A-Z].*\.", result.output), name


def test_a_command_that_does_not_exist_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["nonsense"])
    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.output


def test_the_help_needs_no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_NONSENSE", "1")
    assert CliRunner().invoke(cli, ["--help"]).exit_code == 0
    result = CliRunner().invoke(cli, ["org", "list"])
    assert result.exit_code == 2
    assert "PENSTOCK_NONSENSE is not a setting" in result.output
