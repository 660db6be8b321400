"""Original callouts published again from the log, after a loss of data behind the broker.

Each goes to the queue of its object, past the log, marked with the run that sent it. A crash
between the confirms and the commit of the run's place publishes a step again; workers know what
they have committed, so that the effects are had once.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops.bulk_runs import BulkRun, Step
from ops.publishing import all_confirmed, publishing
from ops.replay.stream import FIRST, PREFETCH_COUNT, Logged, LogReader, last_offset, one, reading
from pipeline import envelope
from pipeline.broker import BY_HEADER, RUN_HEADER
from pipeline.errors import BrokerUnavailable
from pipeline.gzip_text import GzipError
from pipeline.objects import SObject, long_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.broker import Publisher
    from pipeline.database import Connection
    from pipeline.settings import Settings

# Provenance beside the run: where in the log a message was.
OFFSET_HEADER: Final = "x-penstock-log-offset"
_QUIET_S: Final = 2.0
# Messages lie in the order in which the broker got them; ingest's clocks may differ.
_CLOCKS_DIFFER_MS: Final = 3_600_000


class _OrgOf(msgspec.Struct, frozen=True):
    org_id: str


_REPLACED: Final = (
    "the log is not the one that this run began with: it was deleted and declared again since;"
    " begin another run for what the new one holds"
)

_org_of: Final = msgspec.json.Decoder(_OrgOf)


class CalloutReplay(msgspec.Struct, frozen=True):
    """Which callouts are replayed.

    From `since_ms` until before `until_ms`: when ingest received a callout, in Unix ms; None stands
    for all that the log held when the run began. So do no `objects` and no `org_id`. `from_offset`:
    where in the log the plan found the first of them.
    """

    since_ms: int
    until_ms: int | None = None
    objects: list[SObject] = []
    org_id: str | None = None
    from_offset: int | None = None


class LogReplaced(Exception):
    """The log is another one than the run began with: deleted since, and declared again."""


class _Cursor(msgspec.Struct, frozen=True):
    """The offset that comes next; None before the first step.

    `received_at`: when ingest received the last callout that was read (Unix ms). `gone_count`: the
    messages that were past the log's end before the run came to them.
    """

    next_offset: int | None = None
    received_at: int | None = None
    gone_count: int = 0


class _Open(NamedTuple):
    """A reader of the log, the offset that it comes to next, and how many before that are gone."""

    reader: LogReader
    next_offset: int | None
    gone_count: int
    stack: contextlib.AsyncExitStack


class CalloutWork:
    """Does the steps of one run."""

    step_count = PREFETCH_COUNT

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._url = settings.broker.url
        self._publisher = publisher
        self._open: _Open | None = None

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        """Publish what is meant of the next messages; return once all of it is confirmed."""
        del connection
        chosen = msgspec.convert(run.parameters, CalloutReplay)
        cursor = msgspec.convert(run.cursor, _Cursor)
        if self._publisher.problem() is not None:
            raise BrokerUnavailable(self._publisher.problem() or "")
        offset = chosen.from_offset if cursor.next_offset is None else cursor.next_offset
        open_ = await self._open_at(chosen, run.id, offset, cursor.received_at)
        if open_.gone_count and offset is not None:
            gone_count = cursor.gone_count + open_.gone_count
            left = offset + open_.gone_count
            self._open = open_._replace(next_offset=left, gone_count=0)
            moved = msgspec.structs.replace(cursor, next_offset=left, gone_count=gone_count)
            return Step(msgspec.to_builtins(moved), failed_count=open_.gone_count)
        try:
            messages = await open_.reader.next(limit, timeout_s=_QUIET_S)
        except BrokerUnavailable:
            await self.close()
            raise
        if not messages:
            if offset is not None:
                await self._require_reach(offset)
            return Step(run.cursor)
        # At once: a step that does not hold is begun again with a reader of its own.
        next_offset = messages[-1].offset + 1
        self._open = open_._replace(next_offset=next_offset)
        passed, is_last = _up_to_the_end(messages, chosen, run.id)
        bodies = [(message, body) for message in passed if (body := meant(message, chosen))]
        await self._publish(run, bodies)
        received_at = received_at_of(messages[-1]) or cursor.received_at
        return Step(
            msgspec.to_builtins(_Cursor(next_offset, received_at, cursor.gone_count)),
            done_count=len(bodies),
            skipped_count=len(passed) - len(bodies),
            is_last=is_last,
        )

    async def close(self) -> None:
        """Let go of the log."""
        if self._open is not None:
            open_, self._open = self._open, None
            await open_.stack.aclose()

    async def _open_at(
        self, chosen: CalloutReplay, run_id: int, offset: int | None, received_at: int | None
    ) -> _Open:
        """Return a reader that comes to `offset` next: another one if a step did not hold."""
        if self._open is not None and self._open.next_offset == offset is not None:
            return self._open
        await self.close()
        place = datetime.fromtimestamp(chosen.since_ms / 1000, UTC) if offset is None else offset
        gone_count = 0
        if offset is not None:
            gone_count = await self._gone(offset, received_at or chosen.since_ms)
        stack = contextlib.AsyncExitStack()
        reader = await stack.enter_async_context(
            reading(self._url, _name(), place, mark=run_id, prefetch_count=PREFETCH_COUNT)
        )
        self._open = _Open(reader, offset, gone_count, stack)
        return self._open

    async def _gone(self, offset: int, received_at: int) -> int:
        """Return how many messages from `offset` on the log has no more.

        Raises:
            LogReplaced: what lies before `offset` was received after `received_at`.
        """
        oldest = await one(self._url, _name(), FIRST)
        if oldest is None or oldest.offset == offset:
            return 0
        if oldest.offset > offset:
            return oldest.offset - offset
        oldest_at = received_at_of(oldest)
        if oldest_at is not None and oldest_at > received_at + _CLOCKS_DIFFER_MS:
            raise LogReplaced(_REPLACED)
        return 0

    async def _require_reach(self, offset: int) -> None:
        """See that the log comes to `offset`: the run's own mark was put at its end.

        Raises:
            LogReplaced: it does not.
        """
        if await last_offset(self._url, _name(), -1) < offset:
            raise LogReplaced(_REPLACED)

    async def _publish(self, run: BulkRun, bodies: Sequence[tuple[Logged, bytes]]) -> None:
        headers: dict[str, str | int] = {RUN_HEADER: run.id, BY_HEADER: run.created_by}
        await all_confirmed(
            self._publisher.replay(
                body, message.routing_key, {**headers, OFFSET_HEADER: message.offset}
            )
            for message, body in bodies
        )


@contextlib.asynccontextmanager
async def work(settings: Settings) -> AsyncIterator[CalloutWork]:
    """Yield what replays the callouts that a run's parameters name, connected to the broker."""
    async with publishing(settings) as publisher:
        working = CalloutWork(settings, publisher)
        try:
            yield working
        finally:
            await working.close()


def told_of_gone(run: BulkRun) -> str | None:
    """Return what a run could not publish because the log had it no more, or None."""
    count = run.cursor.get("gone_count", 0)
    if not count:
        return None
    return (
        f"{count:,} messages were past the log's end before the run came to them, and are lost to"
        " it: ask the orgs for what they have (`penstock org load`)"
    )


def meant(message: Logged, chosen: CalloutReplay) -> bytes | None:
    """Return what is published of a message: all of it, the callouts that are meant, or None.

    What cannot be read is meant unless an org is asked for: it is a dead letter again. Audits are
    not: they are of what was stored then.
    """
    if message.run_id is not None:
        return None
    if chosen.objects and not any(
        message.routing_key.startswith(f"{sobject.lower()}.") for sobject in chosen.objects
    ):
        return None
    try:
        items = envelope.decode(message.body)
    except envelope.UNREADABLE:
        return message.body if chosen.org_id is None else None
    wanted = [item for item in items if _is_meant(item, chosen)]
    if len(wanted) == len(items):
        return message.body if wanted else None
    return envelope.encode(wanted) if wanted else None


def _is_meant(item: envelope.Item, chosen: CalloutReplay) -> bool:
    if item.kind is not envelope.Kind.CHANGES or item.received_at < chosen.since_ms:
        return False
    if chosen.until_ms is not None and item.received_at >= chosen.until_ms:
        return False
    if chosen.org_id is None:
        return True
    try:
        return long_id(_org_of.decode(item.text()).org_id) == chosen.org_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, GzipError):
        return False


def _up_to_the_end(
    messages: Sequence[Logged], chosen: CalloutReplay, run_id: int
) -> tuple[list[Logged], bool]:
    """Return the messages before the run's mark, and whether that was all.

    It is, too, once messages are far beyond `until_ms`.
    """
    passed: list[Logged] = []
    for message in messages:
        if message.run_id == run_id:
            return passed, True
        passed.append(message)
    if chosen.until_ms is None or not passed:
        return passed, False
    received_at = received_at_of(passed[-1])
    is_beyond = received_at is not None and received_at > chosen.until_ms + _CLOCKS_DIFFER_MS
    return passed, is_beyond


def received_at_of(message: Logged) -> int | None:
    """Return when ingest received the first callout of a message (Unix ms), if that can be told."""
    try:
        items = envelope.decode(message.body)
    except envelope.UNREADABLE:
        return None
    return min((item.received_at for item in items), default=None)


def _name() -> str:
    return f"penstock replay {os.getpid()} log"
