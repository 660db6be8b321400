"""Platform events: publishing after commit, and delivery to the triggers that subscribe.

Source: Platform Events Developer Guide, platform_events_subscribe_apex,
platform_events_subscribe_batch_resume, platform_events_subscribe_compare_checkpoint_retryable,
platform_event_limits.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org import derived
from tests.apex_runtime.org.dml import Outcome
from tests.apex_runtime.org.field_values import Refused, default_value, stored
from tests.apex_runtime.org.jobs import Failure
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.org.schema import Kind
from tests.apex_runtime.program import TriggerContext
from tests.apex_runtime.values import ApexThrown, LimitReached, SObject, heap_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import Trigger
    from tests.apex_runtime.values import Value

_HOUR_MS: Final = 3_600_000
_EVENT_BYTES: Final = 1_048_576
_DEFAULT_BATCH: Final = 2000
_RETRIES: Final = 9
_RETRY_DELAY_MS: Final = 5000

PublishedEvent = SObject


def publish(tx: Transaction, events: Sequence[SObject]) -> list[Outcome]:
    """Check and take events; those of a transaction that rolls back are never delivered.

    An event set to publish immediately is delivered whatever becomes of the transaction.
    """
    outcomes = []
    kinds = {tx.org.catalog[event.type_name] for event in events}
    for kind in kinds:
        if kind.kind is not Kind.EVENT:
            raise NotModelled(f"EventBus.publish of {kind.name}")
        tx.limits.spend("PublishImmediateDML" if kind.publish_immediately else "DmlStatements")
    for event in events:
        kind = tx.org.catalog[event.type_name]
        used, most = tx.org.bus.hourly_use()
        if used + len(tx.events) >= most:
            error = ("LIMIT_EXCEEDED", "The hour's allocation of platform events is used up")
            outcomes.append(Outcome(success=False, record_id=None, errors=[error]))
            continue
        try:
            published = _published(tx, kind, event)
        except Refused as refused:
            outcomes.append(Outcome(success=False, record_id=None, errors=[refused.error]))
            continue
        outcomes.append(Outcome(success=True, record_id=tx.org.store.new_id(kind.prefix)))
        if kind.publish_immediately:
            tx.org.bus.accept(published)
        else:
            tx.uncommitted = True
            tx.events.append(published)
    return outcomes


def _published(tx: Transaction, kind: ObjectType, event: SObject) -> PublishedEvent:
    """Return an event as it will be delivered; Refused when it is too long or incomplete."""
    fields: dict[str, Value] = {}
    for each in kind.definitions.values():
        given = event.fields.get(each.name)
        value = stored(each, default_value(each) if given is None else given)
        if value is not None:
            fields[each.name] = value
        elif each.required:
            names = f"[{each.name}]"
            raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: {names}")
    derived.stamp(fields, kind, tx.user_id, tx.now_ms(), created=True)
    fields["EventUuid"] = str(uuid.uuid4())
    if heap_bytes(*fields.values()) > _EVENT_BYTES:
        raise Refused("LIMIT_EXCEEDED", f"The event is larger than {_EVENT_BYTES} bytes")
    return SObject(kind.name, fields)


@dataclass
class _Subscriber:
    """A trigger on an event: what it has not taken yet, and how its last run went."""

    trigger: Trigger
    batch_size: int
    user_id: str
    waiting: list[SObject] = field(default_factory=list)
    scheduled: bool = False
    suspended: bool = False
    retries: int = 0
    last_error: str | None = None


class EventBus:
    """Delivers committed events in order, each subscriber at its own pace."""

    def __init__(self, org: Org, *, hourly_limit: int) -> None:
        self._org = org
        self.hourly_limit = hourly_limit
        self._published_ms: list[int] = []
        self._replay_id = 0
        self._subscribers: dict[str, list[_Subscriber]] = {}
        for trigger in org.program.triggers:
            kind = org.catalog[trigger.object_name]
            if kind.kind is Kind.EVENT:
                self._subscribers.setdefault(kind.name, []).append(self._subscriber(trigger))

    def _subscriber(self, trigger: Trigger) -> _Subscriber:
        """Return how a trigger takes its events, by its configuration."""
        config = self._org.catalog.metadata.subscribers.get(trigger.name.lower())
        user_id = self._org.users.automated_process
        if config is not None and config.user is not None:
            user_id = self._org.users.by_username(config.user)
        batch_size = _DEFAULT_BATCH if config is None else config.batch_size
        return _Subscriber(trigger, batch_size, user_id)

    def hourly_use(self) -> tuple[int, int]:
        """Return (published in the last hour, allowed)."""
        since = self._org.clock.now_ms - _HOUR_MS
        return sum(1 for at_ms in self._published_ms if at_ms > since), self.hourly_limit

    @property
    def suspended(self) -> list[str]:
        """The names of the triggers that failed too often and get no more events."""
        every = (each for group in self._subscribers.values() for each in group)
        return [each.trigger.name for each in every if each.suspended]

    def accept(self, event: PublishedEvent) -> None:
        """Take a committed event."""
        self._published_ms.append(self._org.clock.now_ms)
        self._replay_id += 1
        event.fields["ReplayId"] = str(self._replay_id)
        for subscriber in self._subscribers.get(event.type_name, []):
            subscriber.waiting.append(event)
            self._schedule(subscriber, 0)

    def _schedule(self, subscriber: _Subscriber, delay_ms: int) -> None:
        """Have a subscriber run when it has something to take and is not waiting for that."""
        if subscriber.waiting and not subscriber.scheduled and not subscriber.suspended:
            subscriber.scheduled = True
            due_ms = self._org.clock.now_ms + delay_ms
            self._org.agenda.add(due_ms, lambda: self._run(subscriber))

    def _run(self, subscriber: _Subscriber) -> None:
        """Deliver one batch.

        A RetryableException delivers it again, with what came since, at most nine times; another
        exception loses the batch, from the last checkpoint on that it set.
        """
        subscriber.scheduled = False
        batch = subscriber.waiting[: subscriber.batch_size]
        tx = self._org.begin(
            user_id=subscriber.user_id,
            context=Context.EVENT,
            delivery={
                "retries": subscriber.retries,
                "lastError": subscriber.last_error,
                "replayIds": " ".join(str(event.fields["ReplayId"]) for event in batch),
            },
        )
        kind = self._org.catalog[batch[0].type_name]
        new = [SObject(kind.name, dict(event.fields), read_only=True) for event in batch]
        taken, delay_ms = len(batch), 0
        try:
            tx.session.run_trigger(subscriber.trigger, TriggerContext("AFTER_INSERT", new, None))
            taken = _checkpointed(tx, batch) or taken
            tx.commit()
            subscriber.retries, subscriber.last_error = 0, None
        except (ApexThrown, LimitReached) as ended:
            name = subscriber.trigger.name
            self._org.queue.failures.append(Failure(name, self._org.clock.now_ms, ended))
            if isinstance(ended, ApexThrown) and ended.value.cls.is_a(
                "EventBus.RetryableException"
            ):
                tx.abort()
                taken = 0
                subscriber.retries += 1
                subscriber.last_error = ended.message
                subscriber.suspended = subscriber.retries > _RETRIES
                delay_ms = _RETRY_DELAY_MS * subscriber.retries
            else:
                taken = self._keep_checkpoint(tx, batch) or taken
        del subscriber.waiting[:taken]
        self._schedule(subscriber, delay_ms)

    @staticmethod
    def _keep_checkpoint(tx: Transaction, batch: Sequence[SObject]) -> int | None:
        """Keep what was done up to the last checkpoint of a run that failed, else nothing."""
        taken = _checkpointed(tx, batch)
        if tx.checkpoint is None:
            tx.abort()
        else:
            tx.undo(tx.checkpoint[1])
            tx.org.store.commit()
            tx.hand_over()
        return taken


def _checkpointed(tx: Transaction, batch: Sequence[SObject]) -> int | None:
    """Return how many events of a batch a checkpoint has settled, None without one."""
    if tx.checkpoint is None:
        return None
    ids = [event.fields["ReplayId"] for event in batch]
    return ids.index(tx.checkpoint[0]) + 1


def check_replay_id(tx: Transaction, replay_id: str) -> None:
    """Refuse a checkpoint at an event that is not in the batch."""
    if replay_id not in str(tx.delivery.get("replayIds", "")).split():
        raise NotModelled(f"a checkpoint at {replay_id}, which is not in this batch")
