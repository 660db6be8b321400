"""Publishing dead letters again: to the queue they came from, marked with the run that did it.

A step publishes, waits for the confirms, and marks the rows in the transaction that keeps the
run's place. A crash between the two publishes that step again; workers know what they have
committed, so that its effects are had once.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.bulk_runs import BulkRun, Step
from ops.dead_letters.pages import next_page
from ops.publishing import all_confirmed, publishing
from pipeline import envelope, json_text
from pipeline.broker import BY_HEADER, RUN_HEADER
from pipeline.envelope import Item
from pipeline.errors import Reason
from pipeline.objects import Operation, SObject
from pipeline.topology import MAX_MESSAGE_BYTES, routing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from asyncpg import Record

    from pipeline.broker import Publisher
    from pipeline.database import Connection
    from pipeline.settings import Settings

_STEP_COUNT: Final = 500
# What is confirmed in time by a broker that is slow: a step that is not done is done again.
_STEP_BYTES: Final = 4 * 1024**2
_COLUMNS: Final = """dead_letter_id, reason, object, operation, callout_id, received_at, original,
    routing_key"""
_MARK: Final = """
    UPDATE dead_letter SET state = 'replayed', settled_at = clock_timestamp(), run_id = $2
    WHERE dead_letter_id = ANY($1::bigint[])"""


class Message(NamedTuple):
    """What is published in one go."""

    routing_key: str
    body: bytes


class _Replay:
    step_count = _STEP_COUNT

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        page = (await next_page(connection, run, limit, _COLUMNS)).within(_STEP_BYTES)
        headers: dict[str, str | int] = {RUN_HEADER: run.id, BY_HEADER: run.created_by}
        await all_confirmed(
            self._publisher.replay(message.body, message.routing_key, headers)
            for message in messages(page.rows)
        )
        await connection.execute(_MARK, page.ids, run.id)
        return Step(page.cursor, done_count=len(page.ids), is_last=page.is_last)


@contextlib.asynccontextmanager
async def work(settings: Settings) -> AsyncIterator[_Replay]:
    """Yield what replays the letters that a run's parameters name, connected to the broker."""
    async with publishing(settings) as publisher:
        yield _Replay(publisher)


def messages(rows: Iterable[Record]) -> Iterator[Message]:
    """Return rows of dead letters as the messages that replay them.

    Changes of one routing key share messages of up to 256 KiB. What crashed workers stands alone,
    so that it takes no neighbour along, and what was a message is one again, to the byte.
    """
    shared: dict[str, list[Item]] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        if row["routing_key"] is not None:
            yield Message(row["routing_key"], row["original"])
            continue
        key = routing_key(SObject(row["object"]), Operation(row["operation"]))
        body = json_text.mask(row["original"])
        masked = body is not row["original"]
        item = Item(row["callout_id"], row["received_at"], masked, body)
        if row["reason"] == Reason.CRASHED_WORKER:
            yield Message(key, envelope.encode([item]))
            continue
        if key in shared and sizes[key] + len(body) > MAX_MESSAGE_BYTES:
            yield Message(key, envelope.encode(shared.pop(key)))
            sizes.pop(key)
        shared.setdefault(key, []).append(item)
        sizes[key] = sizes.get(key, 0) + len(body)
    for key, items in shared.items():
        yield Message(key, envelope.encode(items))
