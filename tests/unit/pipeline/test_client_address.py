"""A client's address is what trusted proxies say, and nothing that a client can write."""

from __future__ import annotations

import pytest

from pipeline.client_address import client_address
from pipeline.settings import Ingest, SettingsError, load

TRUSTED = Ingest(trusted_proxies="10.0.0.0/8, fd00::/8").trusted_networks()


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # A stranger's own header says nothing.
        ("198.51.100.7", ["1.1.1.1"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7:443"], "198.51.100.7"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:99"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", ["1.1.1.1"], "2001:db8:1:2::/64"),
        # An entry that is no address: whoever wrote it is the last that is known.
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["10.9.9.9", "10.2.3.4"], "10.9.9.9"),
        (None, ["1.1.1.1"], ""),
    ],
)
def test_the_header_is_read_from_the_right_past_trusted_hops_alone(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == expected


def test_nobody_is_trusted_unless_the_operator_says_so() -> None:
    assert client_address("127.0.0.1", ["198.51.100.7"], ()) == "127.0.0.1"
    for section in ("INGEST", "CONSOLE"):
        variable = f"PENSTOCK_{section}__TRUSTED_PROXIES"
        with pytest.raises(SettingsError, match=variable):
            load({variable: "10.0.0.1/8"})
