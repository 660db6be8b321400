"""What the broker set aside, moved to the table of dead letters: committed, then acked.

A message lands on `penstock.dead.*` when a worker could not decode some of it, or when it was
handed over too often. Its bytes are kept as they are, under their hash: however often they come,
they are one row.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog

from pipeline import envelope, json_text, metrics, topology
from pipeline.broker import set_up
from pipeline.errors import Reason
from pipeline.gzip_text import GzipError
from pipeline.lifecycle import first_of
from pipeline.objects import SObject, long_id
from workers.channels import CLOSE_TIMEOUT_S, close, told_of_cancels
from workers.dead_letters import storable
from workers.forgotten import without_forgotten
from workers.hold import Ends, Hold, HoldExpired
from workers.received import decode_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from pipeline.database import Pool

    # None ends the gathering.
    Inbox = asyncio.Queue["Dead | None"]

log = structlog.get_logger()

# Of each queue: dead messages are few, and may be large.
_PREFETCH_COUNT: Final = 4
_BATCH_BYTES: Final = 4 * 1024 * 1024
_DRAIN_S: Final = 10.0
_INSERT: Final = """
    INSERT INTO dead_letter AS stored (org_id, object, operation, reason, error, original,
                                       callout_id, received_at, message_hash, routing_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (message_hash) DO UPDATE
    SET attempts = stored.attempts + 1, reason = excluded.reason, error = excluded.error,
        dead_at = now(), state = 'open'"""


class Dead(NamedTuple):
    """One message of the dead queue of an object."""

    sobject: SObject
    message: AbstractIncomingMessage


class Told(NamedTuple):
    """What a message tells of itself, as far as it can be decoded; `received_at` is Unix ms."""

    org_id: str | None
    callout_id: str | None
    received_at: int | None
    problem: str | None


class _Owned(msgspec.Struct, frozen=True):
    org_id: str


_owner: Final = msgspec.json.Decoder(_Owned)


class Recorder:
    """Moves what is on the dead queues of some objects, on one connection after another."""

    def __init__(self, objects: Sequence[SObject], pool: Pool, *, hold_s: float) -> None:
        self._objects = objects
        self._pool = pool
        self._hold = Hold(pool, hold_s)

    def problem(self) -> str | None:
        """Say what dead messages are held for, or None."""
        return self._hold.reason

    async def session(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        """Consume on one connection until it is lost or `stop`, then drain."""
        if not await self._hold.until_database_answers(stop):
            return
        inbox: Inbox = asyncio.Queue()
        opened = await set_up(self._open(connection, inbox), stop)
        if opened is None:
            return
        channel, cancelled = opened
        ends = Ends(stop, asyncio.Event())
        work = asyncio.create_task(self._work(inbox, ends))
        try:
            await first_of(
                channel.closed(),
                connection.closed(),
                cancelled.wait(),
                stop.wait(),
                asyncio.shield(work),
            )
            ends.lost.set()
            inbox.put_nowait(None)
            async with asyncio.timeout(_DRAIN_S):
                await asyncio.shield(work)
        except HoldExpired as error:
            log.warning("dead_messages_returned", reason=str(error))
        except TimeoutError:
            log.warning("drain_cut_short", drain_s=_DRAIN_S)
        finally:
            work.cancel()
            await asyncio.wait({work}, timeout=CLOSE_TIMEOUT_S)
            # What is still unsettled goes back to its queue as the channel closes.
            await close(channel)

    async def _open(
        self, connection: AbstractConnection, inbox: Inbox
    ) -> tuple[AbstractChannel, asyncio.Event]:
        await topology.ensure(connection)
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(_PREFETCH_COUNT)
        cancelled = await told_of_cancels(channel)
        for sobject in self._objects:
            queue = await channel.get_queue(topology.dead_queue_name(sobject))
            await queue.consume(partial(_put, inbox, sobject))
        return channel, cancelled

    async def _work(self, inbox: Inbox, ends: Ends) -> None:
        while not ends.near():
            batch = await _gather(inbox)
            if batch:
                await self._hold.until_done(partial(self._record, batch), ends)
            for dead in batch:
                await dead.message.ack()
                metrics.deliveries_settled.labels(dead.sobject.value, "recorded").inc()

    async def _record(self, batch: Sequence[Dead]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            kept = [
                (dead, await without_forgotten(connection, dead.message.body)) for dead in batch
            ]
            rows = [_row(dead, body) for dead, body in kept if body is not None]
            rows.sort(key=lambda row: row["message_hash"])
            await connection.executemany(_INSERT, [tuple(row.values()) for row in rows])
        for row in rows:
            metrics.dead_letters.labels(row["object"], row["reason"]).inc()
            log.warning(
                "dead_message",
                org_id=row["org_id"],
                callout_id=row["callout_id"],
                object=row["object"],
                reason=row["reason"],
            )


async def _put(inbox: Inbox, sobject: SObject, message: AbstractIncomingMessage) -> None:
    await inbox.put(Dead(sobject, message))


async def _gather(inbox: Inbox) -> list[Dead]:
    """Wait for one message, then take what else is there, up to 4 MiB; none at the end."""
    batch: list[Dead] = []
    byte_count = 0
    while not batch or (byte_count < _BATCH_BYTES and not inbox.empty()):
        dead = await inbox.get()
        if dead is None:
            inbox.put_nowait(None)
            break
        batch.append(dead)
        byte_count += len(dead.message.body)
    return batch


def _row(dead: Dead, body: bytes) -> dict[str, Any]:
    """Return the row of a message, in the order of the statement's columns."""
    key = storable(dead.message.routing_key or "")
    told = tell(body)
    cause = cause_of(dead.message.headers)
    is_limit = cause == "delivery_limit"
    problem = told.problem or f"set aside by the broker: {cause}"
    return {
        "org_id": told.org_id,
        "object": dead.sobject.value,
        "operation": key.partition(".")[2] or None,
        "reason": (Reason.DELIVERY_LIMIT if is_limit else Reason.UNDECODABLE).value,
        "error": storable(
            f"handed over more than {topology.DELIVERY_LIMIT:,} times" if is_limit else problem
        ),
        "original": body,
        "callout_id": told.callout_id,
        "received_at": told.received_at,
        "message_hash": hashlib.sha256(body).digest(),
        "routing_key": key,
    }


def cause_of(headers: Mapping[str, Any]) -> str:
    """Return why the broker set a message aside, in its own word.

    Source: RabbitMQ documentation, "Dead Letter Exchanges", effects on messages: the newest
    event is the first of `x-death`.
    """
    match headers.get("x-death"):
        case [{"reason": str(reason)}, *_]:
            return reason
        case _:
            return "unknown"


def tell(body: bytes) -> Told:
    """Decode a message as far as it goes; what several orgs or callouts share is None."""
    try:
        items = envelope.decode(body)
    except envelope.UNREADABLE as error:
        return Told(None, None, None, str(error))
    problems = {item: decode_item(item).poison for item in items}
    # Its neighbours were processed.
    bad = [item for item, poison in problems.items() if poison is not None] or items
    org_ids = {_org_id(item) for item in bad}
    return Told(
        org_id=org_ids.pop() if len(org_ids) == 1 else None,
        callout_id=storable(bad[0].callout_id) if len(bad) == 1 else None,
        received_at=min((item.received_at for item in bad), default=None),
        problem=next((str(poison) for poison in problems.values() if poison is not None), None),
    )


def _org_id(item: envelope.Item) -> str | None:
    try:
        return storable(long_id(_owner.decode(json_text.mask(item.text())).org_id))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, GzipError):
        return None
