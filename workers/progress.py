"""Where this worker is in what each ingest published, for `pipeline.progress` to tell."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import topology
from pipeline.broker import SENT_HEADER, SOURCE_HEADER
from pipeline.progress import Mark, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_pika.abc import AbstractIncomingMessage

    from pipeline.objects import SObject

# An ingest that starts anew is another one: the longest silent are forgotten.
_MAX_FLOWS: Final = 256


class _Key(NamedTuple):
    source: str
    object: SObject


class _Flow:
    """What one ingest published for one object, as far as it was handed over here."""

    def __init__(self) -> None:
        self.taken_ms = 0
        # Deliveries in hand that were published at a time; the oldest time comes first.
        self.in_hand: dict[int, int] = {}


class Progress:
    """Follows deliveries from hand-over to settlement.

    What was handed over before comes out of turn: it tells how far the queue was, and is not held.
    A replay, which no ingest published, tells nothing.
    """

    def __init__(self) -> None:
        self._worker_id = secrets.token_hex(8)
        self._settled: Counter[SObject] = Counter()
        self._flows: OrderedDict[_Key, _Flow] = OrderedDict()

    def begin(self) -> None:
        """Note that a connection begins: whatever the last one held went back."""
        for flow in self._flows.values():
            flow.in_hand.clear()

    def take(self, message: AbstractIncomingMessage) -> None:
        """Note a delivery that was handed over."""
        key, sent_ms = _published(message)
        if key is None:
            return
        flow = self._flows.setdefault(key, _Flow())
        self._flows.move_to_end(key)
        flow.taken_ms = max(flow.taken_ms, sent_ms)
        if not message.redelivered:
            flow.in_hand[sent_ms] = flow.in_hand.get(sent_ms, 0) + 1
        while len(self._flows) > _MAX_FLOWS:
            self._flows.popitem(last=False)

    def settle(self, message: AbstractIncomingMessage, change_count: int) -> None:
        """Note that a delivery was settled, with so many changes in it."""
        sobject = topology.object_of(message.routing_key)
        if sobject is not None:
            self._settled[sobject] += change_count
        key, sent_ms = _published(message)
        flow = self._flows.get(key) if key is not None else None
        if flow is None or message.redelivered or sent_ms not in flow.in_hand:
            return
        flow.in_hand[sent_ms] -= 1
        if flow.in_hand[sent_ms] == 0:
            del flow.in_hand[sent_ms]

    def report(self) -> Report:
        """Return how things stand."""
        return Report(
            self._worker_id,
            dict(self._settled),
            [
                Mark(key.source, key.object, flow.taken_ms, next(iter(flow.in_hand), None))
                for key, flow in self._flows.items()
            ],
        )


def _published(message: AbstractIncomingMessage) -> tuple[_Key | None, int]:
    headers: Mapping[str, object] = message.headers
    source, sent_ms = headers.get(SOURCE_HEADER), headers.get(SENT_HEADER)
    sobject = topology.object_of(message.routing_key)
    if sobject is None or not isinstance(source, str) or not isinstance(sent_ms, int):
        return None, 0
    return _Key(source, sobject), sent_ms
