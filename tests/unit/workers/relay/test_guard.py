from __future__ import annotations

import ipaddress

import pytest

from workers.relay.guard import Guard, literally_named


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  nobody listens there
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001:0:7f00:1::",
        "3fff::1",
        "64:ff9b:1::7f00:1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not Guard(()).admits(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"],
)
def test_a_public_address_is_admitted(address: str) -> None:
    assert Guard(()).admits(address)


def test_an_operators_networks_are_admitted_and_no_others() -> None:
    guard = Guard((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")))
    assert guard.admits("10.1.2.3")
    assert guard.admits("::ffff:10.1.2.3")
    assert guard.admits("fd00::5")
    assert not guard.admits("10.2.0.1")
    assert not guard.admits("fc00::5")


@pytest.mark.parametrize(
    ("url", "admitted", "refused"),
    [
        ("http://127.0.0.1:8000/x", "127.0.0.1", "127.0.0.2"),
        ("http://[::1]:8000/", "::1", "127.0.0.1"),
        ("https://localhost/", "127.0.0.1", "10.0.0.1"),
        ("http://10.0.0.7/", "10.0.0.7", "10.0.0.8"),
        ("http://[::ffff:10.0.0.7]/", "10.0.0.7", "10.0.0.8"),
    ],
)
def test_the_literal_host_of_an_operators_url_is_admitted(
    url: str, admitted: str, refused: str
) -> None:
    guard = Guard(literally_named(url))
    assert guard.admits(admitted)
    assert not guard.admits(refused)


@pytest.mark.parametrize(
    "url", ["https://sequences.internal/", "http://127.0.0.1.nip.example/", ""]
)
def test_a_name_is_no_literal_address(url: str) -> None:
    assert literally_named(url) == ()
