"""The states that records go through: sent as signed callouts, and looked for where they arrive."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Raw

from pipeline.json_text import unmask
from tests.salesforce import Salesforce, callout, now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.processes import PenstockProcesses

_CHANGES_PER_CALLOUT: Final = 200
_CONCURRENT_CALLOUTS: Final = 8
_AGE_MS: Final = 3_600_000
_STEP_MS: Final = 1000


class Life(NamedTuple):
    """One record: its states as JSON text, the first of which is inserted."""

    sobject: str
    id: str
    states: tuple[str, ...]


class Step(NamedTuple):
    """One change of a record, as it is sent and as the history shall hold it."""

    record_id: str
    old: str | None
    new: str


class Capture(NamedTuple):
    """One callout."""

    capture_id: str
    document: Mapping[str, Any]
    steps: tuple[Step, ...]


def captures(lives: Sequence[Life]) -> Iterator[Capture]:
    """Yield the callouts in which `lives` happen, step by step, all records of a step at once."""
    start = now_ms() - _AGE_MS
    for place in range(max(len(life.states) for life in lives)):
        for sobject in sorted({life.sobject for life in lives}):
            steps = [
                Step(life.id, life.states[place - 1] if place else None, life.states[place])
                for life in lives
                if life.sobject == sobject and place < len(life.states)
            ]
            for first in range(0, len(steps), _CHANGES_PER_CALLOUT):
                document = callout(
                    [_change(step) for step in steps[first : first + _CHANGES_PER_CALLOUT]],
                    object=sobject,
                    operation="update" if place else "insert",
                    captured_at=start + place * _STEP_MS,
                )
                some = tuple(steps[first : first + _CHANGES_PER_CALLOUT])
                yield Capture(document["capture_id"], document, some)


def _change(step: Step) -> dict[str, Raw]:
    sides = {"old": step.old, "new": step.new}
    return {side: Raw(text.encode()) for side, text in sides.items() if text is not None}


async def connected(penstock: PenstockProcesses, rules: str = "") -> Salesforce:
    """Start ingest and a worker, and connect an org."""
    # A busy machine may confirm a burst late; what ingest answers then is shown elsewhere.
    await penstock.start_ingest(PENSTOCK_INGEST__PUBLISH_TIMEOUT_S="30")
    await penstock.start_worker()
    return await Salesforce.connect(penstock, rules=rules)


async def send(org: Salesforce, sent: Iterable[Capture]) -> None:
    """Send callouts, some at a time; each has to be accepted."""
    gate = asyncio.Semaphore(_CONCURRENT_CALLOUTS)

    async def send_one(capture: Capture) -> None:
        async with gate:
            await org.accepted(capture.document)

    await asyncio.gather(*map(send_one, sent))


async def assert_history_holds(penstock: PenstockProcesses, sent: Iterable[Capture]) -> None:
    """Every change that was sent is in the history, to the byte, and nothing else is."""
    expected = {
        (capture.capture_id, step.record_id): (step.old, step.new)
        for capture in sent
        for step in capture.steps
    }
    await penstock.until_counted(len(expected), "SELECT count(*) FROM change")
    arrived = {
        (row["capture_id"], row["record_id"]): (row["old"], row["new"])
        for row in await penstock.fetch("SELECT capture_id, record_id, old, new FROM change")
    }
    assert arrived.keys() == expected.keys()
    wrong = [(texts, arrived[key]) for key, texts in expected.items() if arrived[key] != texts]
    assert not wrong, f"{len(wrong)} changes differ, the first: {wrong[0]}"
    assert await penstock.fetch("SELECT reason, error FROM dead_letter") == []


async def assert_records_hold(penstock: PenstockProcesses, lives: Sequence[Life]) -> None:
    """Every record is in its last state, each value of each field, and there is no other."""
    rows = await penstock.fetch("SELECT record_id, object, deleted, fields::text FROM record")
    arrived = {
        row["record_id"]: (row["object"], row["deleted"], exactly(unmask(row["fields"].encode())))
        for row in rows
    }
    expected = {life.id: (life.sobject, False, exactly(life.states[-1])) for life in lives}
    assert arrived.keys() == expected.keys()
    wrong = [(state, arrived[key]) for key, state in expected.items() if arrived[key] != state]
    assert not wrong, f"{len(wrong)} records differ, the first: {wrong[0]}"


async def assert_shown(penstock: PenstockProcesses, org_id: str, life: Life) -> None:
    """`penstock record show` prints the record's last state and all its changes."""
    result = await penstock.run("record", "show", org_id, life.sobject, life.id, "--json")
    assert result.returncode == 0, result.stderr
    shown = exactly(result.stdout)
    assert (shown["record_id"], shown["deleted"]) == (life.id, False)
    assert shown["fields"] == exactly(life.states[-1])
    states = [exactly(state) for state in life.states]
    assert [change["old"] for change in shown["changes"]] == [None, *states[:-1]]
    assert [change["new"] for change in shown["changes"]] == states


def exactly(text: str | bytes) -> Any:  # noqa: ANN401  any JSON document
    """Decode JSON so that values are equal only if they are the same to the character and digit.

    An exponent is written out and zero has no sign: both as in a JSONB number.
    """
    return json.loads(text, parse_int=_digits, parse_float=_digits)


def _digits(text: str) -> tuple[str, str]:
    number = Decimal(text)
    return ("number", f"{number or number.copy_abs():f}")
