"""A few thousand hostile requests to the whole edge in memory; `make fuzz` sends a million."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import callout
from pipeline.signing import signed_headers
from tests.fuzzing import documents
from tests.fuzzing.choices import FromBytes
from tests.fuzzing.decoders import judge_decoders
from tests.fuzzing.documents import MESSAGES, document, now_ms, right_document
from tests.fuzzing.edge import FuzzedEdge
from tests.fuzzing.judge import judge
from tests.fuzzing.requests import CODE, request
from tests.salesforce import ORG_ID
from tests.unit.ingest.edge import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROUTES: Final = (*MESSAGES, "conditions")


# As `make fuzz` has them: what fails here is an input there, too. The plain choices are zeros.
CHOICES: Final = st.binary(min_size=256, max_size=256).map(FromBytes)
HOSTILE: Final = settings(
    max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


def test_whatever_is_sent_the_answer_is_the_contracts_and_what_is_accepted_can_be_stored(
    runner: asyncio.Runner,
) -> None:
    statuses: Counter[int] = Counter()
    edge = FuzzedEdge()

    @HOSTILE
    @given(CHOICES)
    def hold(choices: FromBytes) -> None:
        sent = request(choices)
        answers, published = runner.run(edge.answers(sent.pieces))
        judge(sent, answers, published)
        assert edge.held_bytes == 0
        assert edge.connection_count == 0
        statuses.update(answer.status for answer in answers)

    runner.run(edge.open())
    try:
        hold()
    finally:
        runner.run(edge.close())
    # They are of all kinds, or nothing was shown.
    assert {200, 202, 400, 401, 403, 413, 422} <= statuses.keys()
    assert statuses[202] > 100


@HOSTILE
@given(choices=CHOICES, route=st.sampled_from(sorted(MESSAGES)), compressed=st.booleans())
def test_whatever_the_decoders_read_they_raise_what_they_say_that_they_raise(
    choices: FromBytes, route: str, *, compressed: bool
) -> None:
    text = document(choices, route)
    judge_decoders(gzip.compress(text, 1) if compressed else text)


@pytest.fixture
async def edge() -> AsyncIterator[FuzzedEdge]:
    opened = FuzzedEdge()
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("route", ROUTES)
async def test_the_plain_request_of_each_route_is_welcome(edge: FuzzedEdge, route: str) -> None:
    text = b"" if route == "conditions" else right_document(route)
    secret = CODE if route == "handshake" else SECRET
    headers = signed_headers(secret, "msg_1", now_ms() // 1000, text)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    method = "GET" if route == "conditions" else "POST"
    start = [f"{method} /v1/orgs/{ORG_ID}/{route} HTTP/1.1", "Host: p", *lines]
    whole = "\r\n".join([*start, f"Content-Length: {len(text)}", "", ""]).encode() + text
    answers, _ = await edge.answers([whole])
    assert [answer.status for answer in answers] in ([200], [202])


async def test_the_judge_sees_a_callout_that_is_not_published_as_it_came(edge: FuzzedEdge) -> None:
    sent = request(FromBytes(b""))
    answers, published = await edge.answers(sent.pieces)
    judge(sent, answers, published)
    altered = [
        msgspec.structs.replace(one, body=one.body.replace(b"do-not", b"do_not"))
        for one in published
    ]
    for wrong in ([], altered, [*published, *published]):
        with pytest.raises(AssertionError):
            judge(sent, answers, wrong)


def test_what_a_contract_asks_for_is_written_rightly_when_nothing_odd_is_chosen() -> None:
    told = callout.check(right_document("changes"))
    assert documents.MARK.encode() in right_document("changes")
    assert len(told.changes) == 1
