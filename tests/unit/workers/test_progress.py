from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pipeline.broker import SENT_HEADER, SOURCE_HEADER
from pipeline.objects import SObject
from pipeline.progress import Mark
from tests.unit.ingest.flood import Message
from workers.progress import Progress

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

ONE, OTHER = "ingest 1", "ingest 2"


def delivery(
    sent_ms: int | None, source: str = ONE, key: str = "lead.update", *, again: bool = False
) -> AbstractIncomingMessage:
    headers: dict[str, object] = {} if sent_ms is None else {SOURCE_HEADER: source}
    message = Message(headers | {SENT_HEADER: sent_ms}, [], 0, key, again)
    return cast("AbstractIncomingMessage", message)


def marks(progress: Progress) -> list[Mark]:
    return sorted(progress.report().marks, key=lambda mark: (mark.source, mark.object))


def test_it_tells_the_newest_that_it_was_handed_and_the_oldest_that_it_holds() -> None:
    progress = Progress()
    first, second, third = (delivery(sent_ms) for sent_ms in (10, 20, 30))
    for one in (first, second, third):
        progress.take(one)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, 10)]
    progress.settle(second, 5)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, 10)]
    progress.settle(first, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, 30)]
    progress.settle(third, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, None)]
    assert progress.report().settled == {SObject.LEAD: 7}


def test_two_messages_of_the_same_moment_are_both_held() -> None:
    progress = Progress()
    one, other = delivery(10), delivery(10)
    progress.take(one)
    progress.take(other)
    progress.settle(one, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 10, 10)]
    progress.settle(other, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 10, None)]


def test_each_ingest_and_object_has_its_own_place() -> None:
    progress = Progress()
    progress.take(delivery(10))
    progress.take(delivery(7, OTHER))
    progress.take(delivery(8, OTHER, "task.insert"))
    assert marks(progress) == [
        Mark(ONE, SObject.LEAD, 10, 10),
        Mark(OTHER, SObject.LEAD, 7, 7),
        Mark(OTHER, SObject.TASK, 8, 8),
    ]


def test_a_replay_says_nothing_of_the_place_but_counts() -> None:
    progress = Progress()
    replayed = delivery(None)
    progress.take(replayed)
    progress.settle(replayed, 3)
    assert marks(progress) == []
    assert progress.report().settled == {SObject.LEAD: 3}


def test_what_comes_again_says_how_far_the_queue_was_and_is_not_held() -> None:
    progress = Progress()
    # The worker that was handed it first died before it could tell.
    progress.take(delivery(20, again=True))
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 20, None)]
    first, again = delivery(30), delivery(30, again=True)
    progress.take(first)
    progress.take(again)
    progress.settle(again, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, 30)]
    progress.settle(first, 1)
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 30, None)]


def test_what_a_lost_connection_held_is_held_no_more() -> None:
    progress = Progress()
    progress.take(delivery(10))
    progress.begin()
    assert marks(progress) == [Mark(ONE, SObject.LEAD, 10, None)]


def test_ingests_that_went_are_forgotten() -> None:
    progress = Progress()
    for number in range(1000):
        progress.take(delivery(number, f"ingest {number}"))
    assert len(marks(progress)) == 256
    assert marks(progress)[-1].source == "ingest 999"
