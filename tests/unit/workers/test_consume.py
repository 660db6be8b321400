from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from pipeline import envelope
from pipeline.objects import SObject
from pipeline.settings import Worker
from workers.consume import Consumer, Delivery
from workers.hold import Ends
from workers.overtaken import FIRST_PAUSE_S

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

    from pipeline.database import Pool
    from workers.consume import Inbox
    from workers.processor import Processor


class Message:
    """What a delivery looks at."""

    body = msgspec.msgpack.encode([envelope.VERSION + 1, {"of": "another shape"}])

    def __init__(self, **headers: object) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def delivery(**headers: object) -> Delivery:
    return Delivery(cast("AbstractIncomingMessage", Message(**headers)), [], [], None)


@pytest.mark.parametrize(("redelivered", "suspect"), [(0, False), (1, False), (2, True), (9, True)])
def test_the_third_delivery_is_suspect(redelivered: int, *, suspect: bool) -> None:
    assert delivery(x_delivery_count=redelivered).is_suspect is suspect


def test_a_first_delivery_has_no_count_and_is_not_suspect() -> None:
    assert not delivery().is_suspect
    assert not delivery(x_delivery_count="many").is_suspect


async def test_of_messages_of_a_later_version_that_came_together_one_is_reason_to_pause() -> None:
    double = cast("Processor", None)
    consumer = Consumer(Worker(), [SObject.LEAD], lambda: double, cast("Pool", None))
    inbox: Inbox = asyncio.Queue()
    ends = Ends(asyncio.Event(), asyncio.Event())
    work = [asyncio.create_task(consumer._work(lane, inbox, ends)) for lane in consumer._lanes]  # noqa: SLF001  no broker hands two over in one step
    # One lane waits for what comes now, the other for its turn.
    await asyncio.sleep(0)
    inbox.put_nowait(cast("AbstractIncomingMessage", Message()))
    inbox.put_nowait(cast("AbstractIncomingMessage", Message()))
    with capture_logs() as logs:
        await asyncio.wait_for(asyncio.gather(*work), 30)
    assert [one["pause_s"] for one in logs if one["event"] == "overtaken"] == [FIRST_PAUSE_S]
