"""Group commit at the edge: a message carries what arrived while the last confirm was under way.

The broker's cost is paid per message. When it is quiet a callout is published at once and alone;
under load a message of up to 256 KiB holds many. Each caller waits for its own message's confirm.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from pipeline.errors import BrokerUnavailable
from pipeline.topology import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.envelope import Item

log = structlog.get_logger()

# Past one message under way a lane opens more only for full messages, up to this many.
MAX_MESSAGES_IN_FLIGHT: Final = 4


class _Waiting(NamedTuple):
    item: Item
    confirmed: asyncio.Future[None]


class _Lane:
    """What waits for, and is on its way under, one routing key."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.waiting_bytes = 0
        self.in_flight_count = 0

    def append(self, waiting: _Waiting) -> None:
        self.waiting.append(waiting)
        self.waiting_bytes += waiting.item.weight_bytes

    def next_group(self) -> list[_Waiting]:
        """Take what fits into one message, leaving out whoever gave up waiting."""
        group: list[_Waiting] = []
        room_bytes = MAX_MESSAGE_BYTES
        while self.waiting and (not group or self.waiting[0].item.weight_bytes <= room_bytes):
            waiting = self.waiting.popleft()
            self.waiting_bytes -= waiting.item.weight_bytes
            if not waiting.confirmed.done():
                group.append(waiting)
                room_bytes -= waiting.item.weight_bytes
        return group

    def may_publish(self) -> bool:
        if not self.waiting or self.in_flight_count >= MAX_MESSAGES_IN_FLIGHT:
            return False
        return self.in_flight_count == 0 or self.waiting_bytes >= MAX_MESSAGE_BYTES


class Grouper:
    """Publishes items in groups, one lane a routing key (a closed set of 42)."""

    def __init__(
        self, publish: Callable[[Sequence[Item], str], Awaitable[None]], timeout_s: float
    ) -> None:
        self._publish = publish
        self._timeout_s = timeout_s
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)
        self._publishing: set[asyncio.Task[None]] = set()

    async def submit(self, items: Sequence[Item], routing_key: str) -> None:
        """Return once the broker has confirmed every item.

        Raises:
            BrokerUnavailable: at least one was not, within `timeout_s`; others may be stored.
        """
        lane = self._lanes[routing_key]
        loop = asyncio.get_running_loop()
        confirmations: list[asyncio.Future[None]] = []
        for item in items:
            waiting = _Waiting(item, loop.create_future())
            confirmations.append(waiting.confirmed)
            lane.append(waiting)
        self._fill(lane, routing_key)
        # A fifth of the price of `asyncio.timeout`, paid for each callout.
        expiry = loop.call_later(self._timeout_s, _expire, confirmations)
        try:
            if len(confirmations) == 1:
                await confirmations[0]
            else:
                await asyncio.gather(*confirmations)
        finally:
            expiry.cancel()
            # After the first failure nobody waits for the others: they need not be published.
            for confirmed in confirmations:
                confirmed.cancel()

    def _fill(self, lane: _Lane, routing_key: str) -> None:
        while lane.may_publish():
            if group := lane.next_group():
                lane.in_flight_count += 1
                task = asyncio.create_task(self._send(lane, group, routing_key))
                self._publishing.add(task)
                task.add_done_callback(self._publishing.discard)

    async def _send(self, lane: _Lane, group: list[_Waiting], routing_key: str) -> None:
        error: BrokerUnavailable | None = None
        try:
            await self._publish([waiting.item for waiting in group], routing_key)
        except BrokerUnavailable as unavailable:
            log.warning("publish_failed", routing_key=routing_key, error=unavailable)
            error = unavailable
        except BaseException as unexpected:
            error = BrokerUnavailable(f"publishing failed: {type(unexpected).__name__}")
            raise
        finally:
            for waiting in group:
                if waiting.confirmed.done():
                    continue
                if error is None:
                    waiting.confirmed.set_result(None)
                else:
                    waiting.confirmed.set_exception(error)
            lane.in_flight_count -= 1
            self._fill(lane, routing_key)


def _expire(confirmations: Sequence[asyncio.Future[None]]) -> None:
    for confirmed in confirmations:
        if not confirmed.done():
            confirmed.set_exception(BrokerUnavailable("RabbitMQ did not confirm in time"))
