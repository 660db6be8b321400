from __future__ import annotations

import pytest

from pipeline.hosts import addresses_of, urls_of


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        (
            "amqp://me:p%2Cw@a,b:5673,[::1]:5674/v%2Fh?heartbeat=3",
            [
                "amqp://me:p%2Cw@a/v%2Fh?heartbeat=3",
                "amqp://me:p%2Cw@b:5673/v%2Fh?heartbeat=3",
                "amqp://me:p%2Cw@[::1]:5674/v%2Fh?heartbeat=3",
            ],
        ),
        ("postgresql://a,b/x", ["postgresql://a/x", "postgresql://b/x"]),
        ("amqp://me:a,b@one/", ["amqp://me:a,b@one/"]),
        ("postgresql:///x?host=/tmp", ["postgresql:///x?host=/tmp"]),
        ("", [""]),
    ],
)
def test_each_host_has_a_url_of_its_own_with_all_the_rest(url: str, urls: list[str]) -> None:
    assert urls_of(url) == urls


def test_a_host_is_told_with_its_port() -> None:
    assert addresses_of("amqps://me:p@one,two:5673,[::1]:5672/%2F") == [
        "one",
        "two:5673",
        "[::1]:5672",
    ]
    assert addresses_of("postgresql:///x?host=/tmp") == [""]
    assert addresses_of("") == [""]
