from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.recipient import MAX_ADDRESS_CHARACTERS, address_of

if TYPE_CHECKING:
    from pipeline.change import Value


def test_an_address_is_stripped_and_lower_cased() -> None:
    assert address_of("  Ada.Lovelace@Example.COM\n") == "ada.lovelace@example.com"


def test_letters_beyond_ascii_are_plausible() -> None:
    assert address_of("zoë@exämple.org") == "zoë@exämple.org"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@home@example.com",
        "ada lovelace@example.com",
        "ada\u00a0lovelace@example.com",
        "ada\x00@example.com",
        "ada\n@example.com",
        "ada\ud800@example.com",
        "a" * MAX_ADDRESS_CHARACTERS + "@example.com",
        7,
        True,
        ["ada@example.com"],
        {"address": "ada@example.com"},
    ],
)
def test_what_is_no_plausible_address_is_none(value: Value) -> None:
    assert address_of(value) is None
