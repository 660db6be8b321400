from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.relay.addresses import canonical_address, canonical_domain, suppressible


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("X.org", "x.org"),
        (" .x.org. ", "x.org"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.Example", "xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("münchen。example", "xn--mnchen-3ya.example"),
        ("ü_!.example", "ü_!.example"),
    ],
)
def test_a_domain_has_one_form(written: str, canonical: str) -> None:
    assert canonical_domain(written) == canonical


def test_an_address_keeps_its_name_and_has_its_domains_form() -> None:
    assert canonical_address(" Ana@MÜNCHEN.example ") == "ana@xn--mnchen-3ya.example"
    assert canonical_address("ju\u0308rgen@x.org") == canonical_address("JÜRGEN@x.org")
    assert canonical_address('"a@b"@X.org') == '"a@b"@x.org'


def test_an_address_is_suppressed_by_itself_its_domain_and_all_above() -> None:
    assert suppressible("ana@mail.münchen.example") == [
        "ana@mail.xn--mnchen-3ya.example",
        "mail.xn--mnchen-3ya.example",
        "xn--mnchen-3ya.example",
        "example",
    ]


@given(st.text(max_size=40))
@example(".\r0")
@example("ana@x.org. . ")
def test_no_recipient_can_raise_and_the_form_is_final(text: str) -> None:
    address, *_ = suppressible(text)
    assert canonical_address(address) == address
