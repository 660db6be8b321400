from __future__ import annotations

import time
import zlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from ops.sample.records import SampleOrg
from pipeline import callout
from pipeline.signing import key_of, new_secret, verify
from rules import parse_rules
from tests.benchmarks import callouts, mixed
from tests.benchmarks.callouts import Shape

if TYPE_CHECKING:
    from pathlib import Path

CHANGES: Final = 600


def parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, content = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    member = zlib.decompressobj(wbits=31)
    body = member.decompress(content)
    # One member, whole, and nothing behind it: as Apex compresses.
    assert member.eof
    assert not member.unused_data
    return headers, body


@pytest.mark.parametrize("shape", Shape)
def test_prepared_callouts_keep_the_contract_and_are_never_the_same(
    tmp_path: Path, shape: Shape
) -> None:
    secret = new_secret()
    packed = callouts.pack(SampleOrg(7), shape, CHANGES // 2)
    prepared = callouts.prepare(tmp_path / "requests", packed, CHANGES, secret)
    requests = callouts.read(prepared.path)
    assert len(requests) == prepared.callout_count
    captures = []
    for place, request in enumerate(requests):
        headers, body = parts(request)
        verify(
            keys=[key_of(secret)],
            message_id=headers["webhook-id"],
            timestamp=headers["webhook-timestamp"],
            signatures=headers["webhook-signature"],
            body=body,
            now_s=time.time(),
        )
        captures.append(callout.check(body))
        assert callouts.place_of(captures[-1].capture_id) == place
    assert sum(len(one.changes) for one in captures) == prepared.change_count <= CHANGES
    assert len({one.capture_id for one in captures}) == len(captures)
    assert all(first.captured_at <= later.captured_at for first, later in pairwise(captures))
    assert captures[-1].captured_at <= time.time() * 1000


def test_a_day_is_mostly_single_changes_over_seven_objects() -> None:
    packed = callouts.pack(SampleOrg(7), Shape.MIXED, 10_000)
    single = sum(one.change_count == 1 for one in packed) / len(packed)
    assert 0.75 < single < 0.85
    assert len(Counter(one.header["object"] for one in packed)) == 7


def test_a_day_has_thirty_rules() -> None:
    assert len(parse_rules(mixed.rules(), "day.yaml")) == 30
