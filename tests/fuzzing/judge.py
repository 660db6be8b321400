"""What holds of every answer, and of everything that was accepted, whatever was sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline import callout, json_text
from pipeline.json_text import decode_fields
from tests.fuzzing.documents import MARK
from tests.fuzzing.edge import require_storable
from tests.fuzzing.requests import CODE
from tests.unit.ingest.edge import SECRET
from workers.field_reader import FieldReader
from workers.received import decode_item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.envelope import Item
    from tests.fuzzing.requests import Sent
    from tests.fuzzing.wire import Answer
    from workers.received import ReceivedChange

# The contract's. None is 503: nothing that ingest stands on is away here.
STATUSES: Final = frozenset({200, 202, 400, 401, 403, 404, 405, 413, 422})
_OK_END: Final = 300
_EXPECTATION_FAILED: Final = 417
_PROBLEM: Final = b"content-type: application/problem+json"
# A record stands in the document, its list and a change.
_LEVELS_AROUND: Final = 3
_READ: Final = ("Email", "OwnerId", "LastName")
_reader: Final = FieldReader(_READ, _READ)


def judge(sent: Sent, answers: Sequence[Answer], published: Sequence[Item]) -> None:
    """Fail if anything that is promised does not hold.

    Raises:
        AssertionError: it does not.
    """
    accepted_count = 0
    for answer in answers:
        if answer.status == 202 and sent.route in {"changes", "audit"}:
            accepted_count += json.loads(answer.body)["accepted"]
        assert not (sent.is_forged and answer.status < _OK_END), "taken without a right signature"
        _judge_answer(answer)
    decoded = [decode_item(item) for item in published]
    assert not any(one.poison for one in decoded), "what was accepted is poison"
    changes = [change for one in decoded for change in one.changes]
    told_count = sum(len(one.records) for item in decoded for one in item.ranges)
    assert len(changes) + told_count == accepted_count, (len(changes), accepted_count)
    if changes:
        _judge_changes(sent.text, changes)


def _judge_answer(answer: Answer) -> None:
    assert answer.status in STATUSES | {_EXPECTATION_FAILED}, answer
    if answer.status < _OK_END:
        json.loads(answer.body)
        return
    for hidden in (MARK, SECRET, CODE):
        assert hidden.encode() not in answer.body, answer
    if answer.status == _EXPECTATION_FAILED:
        # aiohttp's own, where an address is none.
        return
    assert _PROBLEM in answer.head.lower(), answer
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status
    assert problem["title"]
    assert problem["detail"]
    assert (answer.status == 422) == problem.get("place", "").startswith("$"), problem


def _judge_changes(text: bytes, changes: Sequence[ReceivedChange]) -> None:
    sent = callout.read(json_text.mask(text)).changes
    assert len(sent) == len(changes)
    for one, change in zip(sent, changes, strict=True):
        for raw, side in ((one.old, change.old), (one.new, change.new)):
            # Byte-true, though what is read of it has no character that JSONB refuses.
            original = json_text.unmask(bytes(raw))
            assert (change.original(side) or b"null") == original
            if side is not None:
                assert original in text
                _judge_record(side, original)
        require_storable([*change.key, change.transaction_id, change.callout_id])
        whole = change.decode()
        read = change.decode(_reader)
        for record, few in ((whole.old, read.old), (whole.new, read.new)):
            if record is not None and few is not None:
                assert {name: record.get(name) for name in _READ} == {
                    name: few.get(name) for name in _READ
                }
        callout.check(json_text.mask(change.as_callout()))


def _judge_record(masked: bytes, original: bytes) -> None:
    """Check that a record's masked text is JSON which keeps what its original says."""
    fields = decode_fields(json_text.mask(original))
    assert fields == json.loads(original, parse_int=Decimal, parse_float=_number)
    assert _depth(fields) + _LEVELS_AROUND <= json_text.MAX_DEPTH, "taken though it is too deep"
    masked_text = json_text.mask(masked) if masked == original else masked
    _require_jsonb(json.loads(masked_text, parse_int=str, parse_float=str))
    msgspec.json.decode(masked_text, type=msgspec.Raw)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _number(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except ArithmeticError:
        return digits


def _require_jsonb(value: Any) -> None:  # noqa: ANN401  any JSON
    if isinstance(value, dict):
        for key, item in value.items():
            require_storable(key)
            _require_jsonb(item)
    elif isinstance(value, list):
        for item in value:
            _require_jsonb(item)
    else:
        require_storable(value)
