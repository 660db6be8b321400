from __future__ import annotations

from pathlib import Path

from ops.reference import reference

PAGE = Path(__file__).parents[3] / "deploy" / "reference.md"


def test_the_reference_says_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run `make docs`"


def test_every_command_of_the_design_is_in_the_reference() -> None:
    page = PAGE.read_text("utf-8")
    for command in ("up", "ingest", "worker", "relay", "migrate", "org add", "rules apply"):
        assert f"### `penstock {command} " in page, command
