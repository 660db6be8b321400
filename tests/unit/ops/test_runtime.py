from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ops.runtime import Runtime, print_json, print_table
from pipeline.settings import SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(msgspec.Struct, frozen=True):
    some_name: str
    value: msgspec.Raw | int | None = None


def test_settings_are_read_when_a_command_first_needs_them() -> None:
    environment: dict[str, str] = {}

    def current() -> Mapping[str, str]:
        return environment

    runtime = Runtime(current, load)
    with pytest.raises(SettingsError, match="PENSTOCK_DATABASE__URL is not set"):
        runtime.settings("PENSTOCK_DATABASE__URL")
    environment["PENSTOCK_DATABASE__URL"] = "postgresql://localhost/penstock"
    assert runtime.settings("PENSTOCK_DATABASE__URL").database.url
    assert runtime.environment() == environment


def test_json_keeps_numbers_as_they_were_written(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_json([Row("ü", msgspec.Raw(b'{"n":1.10e5,"t":"\\ud83d"}'))])
    printed = capfdbinary.readouterr().out
    assert b'"n": 1.10e5' in printed
    assert b'"t": "\\ud83d"' in printed
    assert "ü".encode() in printed


def test_a_table_shows_text_as_text_and_nothing_for_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table([Row("[red]\x1b[31m"), Row("b", 7)], ("some_name", "value"), empty="none")
    printed = capsys.readouterr().out
    assert printed.split("\n")[0].split() == ["some", "name", "value"]
    assert "[red]" in printed
    assert "\x1b" not in printed
    assert "None" not in printed

    print_table([], ("some_name",), empty="nothing yet")
    assert capsys.readouterr().out == "nothing yet\n"
