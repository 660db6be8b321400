"""Strangers are refused cheaply, whoever they share an address with; an org never is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request

from ingest.door import Door
from ingest.failed_signatures import FailedSignatures, Over
from ingest.problems import Problem
from pipeline.signing import new_secret, signed_headers
from tests.unit.ingest.edge import ORG, ORG_ID, SECRET, Known

if TYPE_CHECKING:
    from aiohttp import web

HERE, THERE = "198.51.100.1", "198.51.100.2"
LARGE = 10**6
BODY = b"{}"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def request(secret: str, address: str = HERE) -> web.Request:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (
        (address, 1) if name == "peername" else default
    )
    headers = signed_headers(secret, "msg_1", int(time.time()), BODY)
    return make_mocked_request("POST", "/", headers=headers, transport=transport)


class Asked:
    """A door, and what came of asking it: the status, and how many bytes it would read."""

    def __init__(self, per_minute: int = 3) -> None:
        self.clock = Clock()
        self.waits_s: list[int | None] = []
        self.failures = FailedSignatures(per_minute, self.clock)
        self._door = Door(Known(), lambda _: None, failures=self.failures)

    def knock(self, asked: web.Request) -> tuple[int, int]:
        max_bytes = 0
        try:
            with self._door.proving(asked, ORG, LARGE) as max_bytes:
                self._door.verify(asked, ORG, BODY)
        except Problem as problem:
            self.waits_s.append(problem.retry_after_s)
            return problem.status, max_bytes
        return 202, max_bytes


def test_after_so_many_failures_a_stranger_is_put_off_and_nothing_large_is_read_of_it() -> None:
    asked = Asked()
    wrong = new_secret()
    for _ in range(3):
        assert asked.knock(request(wrong)) == (401, LARGE)
    assert asked.knock(request(wrong)) == (429, 65_536)
    bare = make_mocked_request("POST", "/", transport=request(wrong).transport)
    assert asked.knock(bare) == (429, 0)
    assert asked.waits_s == [None, None, None, 20, 20]
    assert asked.knock(request(wrong, THERE)) == (401, LARGE)
    asked.clock.now_s += 60
    assert asked.knock(request(wrong)) == (401, LARGE)


def test_an_org_comes_in_from_the_strangers_own_address_and_from_then_on_with_all_it_has() -> None:
    asked = Asked()
    for _ in range(50):
        asked.knock(request(new_secret()))
    assert asked.knock(request(SECRET)) == (202, 65_536)
    for _ in range(50):
        asked.knock(request(new_secret()))
    assert asked.knock(request(SECRET)) == (202, LARGE)
    # Where it was heard says nothing of another address.
    assert not asked.failures.is_known(ORG_ID, THERE)
    asked.clock.now_s += 86_400
    assert not asked.failures.is_known(ORG_ID, HERE)


def test_many_addresses_that_fail_for_one_org_do_not_keep_it_out_nor_count_against_another() -> (
    None
):
    asked = Asked()
    for number in range(40):
        asked.knock(request(new_secret(), f"203.0.113.{number}"))
    assert asked.failures.over(ORG_ID, HERE) is Over.ORG
    assert asked.failures.over("00D5g000004OthrEAS", HERE) is Over.NEITHER
    assert asked.knock(request(new_secret())) == (429, 65_536)
    assert asked.knock(request(SECRET)) == (202, 65_536)


def test_what_is_remembered_of_strangers_is_bounded_and_told_once_a_minute() -> None:
    clock = Clock()
    failures = FailedSignatures(1, clock)
    failures.failed(ORG_ID, HERE)
    assert failures.to_tell(ORG_ID, HERE) == 1
    assert [failures.to_tell(ORG_ID, HERE) for _ in range(3)] == [0, 0, 0]
    assert failures.to_tell(ORG_ID, THERE) == 1
    clock.now_s += 60
    assert failures.to_tell(ORG_ID, HERE) == 4
    assert failures.over(ORG_ID, HERE) is Over.NEITHER
    failures.failed(ORG_ID, HERE)
    assert failures.over("another", HERE) is Over.ADDRESS
    for number in range(10_000):
        failures.failed(ORG_ID, f"address {number}")
    assert failures.over("another", HERE) is Over.NEITHER


@pytest.mark.parametrize("per_minute", [1, 60])
def test_the_wait_that_is_told_is_the_time_to_the_next_token(per_minute: int) -> None:
    clock = Clock()
    failures = FailedSignatures(per_minute, clock)
    for _ in range(per_minute):
        failures.failed(ORG_ID, HERE)
    assert failures.over(ORG_ID, HERE) is Over.ADDRESS
    clock.now_s += failures.wait_s(ORG_ID, HERE)
    assert failures.over(ORG_ID, HERE) is Over.NEITHER
