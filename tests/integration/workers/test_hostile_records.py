"""Whatever JSON can hold goes through ingest and a worker into PostgreSQL, and comes back."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.records import show
from pipeline.database import open_pool
from pipeline.objects import SObject
from pipeline.settings import Database, Secret
from pipeline.signing import signed_headers
from tests.changes import add_org, record_ids
from tests.fuzzing.choices import FromBytes, one_of
from tests.fuzzing.documents import any_value, now_ms, string
from tests.fuzzing.edge import FuzzedEdge
from tests.lives import exactly
from tests.salesforce import ORG_ID
from tests.unit.ingest.edge import SECRET
from workers.processor import Processor
from workers.received import decode_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.records import RecordState
    from pipeline.database import Pool
    from workers.received import ReceivedChange

# What rules, opt-outs, ends and lookups read, whatever stands there.
NAMES: Final = (
    '"Email"', '"OwnerId"', '"Status"', '"AnnualRevenue"', '"HasOptedOutOfEmail"',
    '"EmailBouncedDate"', '"ConvertedContactId"', '"MasterRecordId"', '"attributes"', '"email"',
)  # fmt: skip
VALUES: Final = ("true", '"a@example.com"', '"0055g00000AbCdEAAV"', f'"{"x" * 20_000}@example.com"')

RULE: Final = """\
rule: reads-what-is-hostile
object: Lead
on: [insert]
when:
  - any:
      - {field: Email, is_set: true}
      - {field: Status, matches: "a.*"}
      - {field: AnnualRevenue, at_least: 10}
      - {field: Owner.IsActive, equals: true}
then:
  - add_to_sequence: strings
    recipient: Email
    variables: {status: Status, revenue: AnnualRevenue, owner: OwnerId}
"""


def record(choices: FromBytes, record_id: str) -> str:
    members = [f'"Id":"{record_id}"']
    for _ in range(1 + choices.number(6)):
        name = one_of(choices, (*NAMES, string(choices)))
        value = one_of(choices, VALUES) if choices.number(4) == 3 else any_value(choices)
        members.append(f"{name} : {value}")
    return f"{{{', '.join(members)}}}"


def request(records: list[str], capture_id: str) -> bytes:
    head = json.dumps(
        {
            "version": 1,
            "org_id": ORG_ID,
            "object": "Lead",
            "operation": "insert",
            "capture_id": capture_id,
            "transaction_id": "~!@#$%^&*()_+`-={}|[]\\:;'<>?,./\"",
            "sequence": 2**31 - 1,
            "captured_at": now_ms(),
            "changes": [],
        }
    )
    changes = ",".join(f'{{"new":{one}}}' for one in records)
    text = head.replace('"changes": []', f'"changes": [{changes}]').encode()
    headers = signed_headers(SECRET, "msg_1", now_ms() // 1000, text)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    start = [f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1", "Host: penstock", *lines]
    return "\r\n".join([*start, f"Content-Length: {len(text)}", "", ""]).encode() + text


async def stored_or_dead(
    pool: Pool, edge: FuzzedEdge, processor: Processor, records: dict[str, str], capture_id: str
) -> tuple[int, int]:
    """Send records; check each where it went. Return how many are stored, and how many dead."""
    answers, items = await edge.answers([request(list(records.values()), capture_id)])
    if answers[0].status != 202:
        assert b"too deep" in answers[0].body or answers[0].status == 413, answers
        return 0, 0
    assert [answer.status for answer in answers] == [202], answers
    changes: list[ReceivedChange] = [one for item in items for one in decode_item(item).changes]
    await processor.process(changes)
    dead = {
        row["record_id"]: row["original"]
        for row in await pool.fetch(
            "SELECT record_id, original FROM dead_letter WHERE capture_id = $1", capture_id
        )
    }
    for record_id, text in records.items():
        if record_id in dead:
            # Numbers alone are beyond what PostgreSQL holds.
            assert '"new":' + text in dead[record_id].decode()
            continue
        async with pool.acquire() as connection:
            shown = await show(connection, ORG_ID, SObject.LEAD, record_id, limit=5)
        require_shown(shown, text)
    return len(records) - len(dead), len(dead)


def require_shown(shown: RecordState, text: str) -> None:
    printed: Any = exactly(msgspec.json.encode(shown))
    assert printed["fields"] == exactly(text)
    (change,) = shown.changes
    assert bytes(change.new).decode() == text
    assert printed["changes"][0]["new"] == exactly(text)


def test_whatever_json_holds_is_stored_and_given_back_or_a_dead_letter_to_the_byte(
    database_url: str,
) -> None:
    ids: Iterator[str] = record_ids()
    captures = (f"capture\\{number}\"'" for number in itertools.count())
    counts = [0, 0]
    with asyncio.Runner() as runner:
        opening = open_pool(Database(url=Secret(database_url), pool_size=4), "test")
        pool = runner.run(opening.__aenter__())
        runner.run(add_org(pool, ORG_ID, RULE))
        edge, processor = FuzzedEdge(), Processor(pool, retention_days=90)
        runner.run(edge.open())

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(choices=st.binary(min_size=128, max_size=128).map(FromBytes))
        def hold(choices: FromBytes) -> None:
            some = [next(ids) for _ in range(1 + choices.number(3))]
            records = {one: record(choices, one) for one in some}
            sending = stored_or_dead(pool, edge, processor, records, next(captures))
            stored_count, dead_count = runner.run(asyncio.wait_for(sending, 30))
            counts[0] += stored_count
            counts[1] += dead_count

        try:
            hold()
        finally:
            runner.run(edge.close())
            runner.run(opening.__aexit__(None, None, None))
    assert min(counts) > 0
