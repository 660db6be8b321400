"""One transaction of the org: what `Platform` promises to the code that runs in it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.apex_runtime.org import context_values, settings
from tests.apex_runtime.org.callouts import Callouts
from tests.apex_runtime.org.dml import Dml, Outcome
from tests.apex_runtime.org.events import check_replay_id, publish
from tests.apex_runtime.org.jobs import queued_future, queued_job
from tests.apex_runtime.org.limits import Context, Limits
from tests.apex_runtime.org.schedule import scheduled
from tests.apex_runtime.org.soql import answer
from tests.apex_runtime.org.triggers import Triggers
from tests.apex_runtime.values import ApexObject, Id, SObject, heap_bytes, throw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.apex_runtime.org.catalog import Catalog
    from tests.apex_runtime.org.events import PublishedEvent
    from tests.apex_runtime.org.jobs import Job
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.schedule import Scheduled
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.testing import TestRun
    from tests.apex_runtime.platform import Binder, HttpAnswer, HttpExchange
    from tests.apex_runtime.values import Value

# What a statement costs of the CPU limit. The platform's own cost varies; this is the upper end.
_STATEMENT_CPU_US: Final = 5
# How many statements may pass until a heap that is far from its limit is measured again.
_SMALL_HEAP_STATEMENTS: Final = 100


class Mark(NamedTuple):
    """Where a transaction may return to: the store's journal, and how many jobs, events
    and schedules."""

    journal: int
    jobs: int
    events: int
    schedules: int


class Transaction:
    """A transaction under way (`platform.Platform`); `commit` or `abort` ends it.

    `uncommitted` tells whether it has written, queued or published, after which no callout may go
    out. `job` is the queueable that runs in it or whose finalizer does.
    """

    org: Org
    user_id: str
    context_kind: Context
    job: Job | None
    delivery: Mapping[str, Value]
    test: TestRun | None
    request_id: str

    def __init__(  # noqa: PLR0913  what a transaction is begun with
        self,
        org: Org,
        *,
        user_id: str,
        context: Context,
        job: Job | None = None,
        delivery: Mapping[str, Value] | None = None,
        test: TestRun | None = None,
    ) -> None:
        self.org = org
        self.user_id = user_id
        self.context_kind = context
        self.job = job
        self.delivery = delivery or {}
        self.test = test
        self.request_id = f"4{uuid.uuid4().hex[:13]}-"
        self.limits = Limits(context)
        self.session = org.program.session(self)
        self.triggers = Triggers(self, org.program, org.automation, org.catalog)
        self.uncommitted = False
        self.jobs: list[Job] = []
        self.schedules: list[Scheduled] = []
        self.events: list[PublishedEvent] = []
        self.finalizer: ApexObject | None = None
        self.checkpoint: tuple[str, Mark] | None = None
        self._dml = Dml(self)
        self._callouts = Callouts(self)
        self._begin = self.mark()
        self._heap_looked_at = -_SMALL_HEAP_STATEMENTS - 1

    @property
    def catalog(self) -> Catalog:
        """The org's types."""
        return self.org.catalog

    def commit(self) -> None:
        """Make what was done last, and hand over jobs and events."""
        self.check_cpu()
        self.org.store.commit()
        self.org.clock.advance(1)
        self.hand_over()

    def begin_chunk(self, fresh_limits: dict[str, int]) -> None:
        """Begin the next chunk of a bulk load: everything anew but the statics."""
        self.limits.restore(fresh_limits)
        self.uncommitted = False
        self.jobs, self.events, self.schedules = [], [], []
        self._dml = Dml(self)
        self._begin = self.mark()

    def hand_over(self) -> None:
        """Give events and jobs to those who deliver and run them."""
        for event in self.events:
            self.org.bus.accept(event)
        for job in self.jobs:
            self.org.queue.add(job)
        for each in self.schedules:
            self.org.schedule.add(each)

    def abort(self) -> None:
        """Undo everything."""
        self.undo(self._begin)
        self.org.clock.advance(1)

    def check_cpu(self) -> None:
        """End the transaction if it has computed for too long."""
        self.limits.reach("CpuTime", self.session.statements * _STATEMENT_CPU_US // 1000)

    def mark(self) -> Mark:
        """Return where `rollback` may return to, at no cost."""
        return Mark(self.org.store.mark(), len(self.jobs), len(self.events), len(self.schedules))

    def undo(self, mark: Mark) -> None:
        """Undo records, jobs and events since a mark."""
        self.org.store.rollback(mark.journal)
        del self.jobs[mark.jobs :]
        del self.events[mark.events :]
        del self.schedules[mark.schedules :]

    # What Platform promises.

    def now_ms(self) -> int:
        return self.org.clock.now_ms

    def describe(self, name: str) -> ObjectType | None:
        return self.org.catalog.describe(name)

    def type_of_id(self, record_id: Id) -> str:
        found = self.org.catalog.of_id(record_id)
        if found is None:
            throw("SObjectException", f"Unable to determine SObjectType for given Id {record_id}")
        return found.name

    def query(self, soql: Mapping[str, object], bind: Binder) -> list[SObject]:
        self.check_heap()
        return answer(self, soql, bind)

    def dml(
        self,
        operation: str,
        records: Sequence[SObject],
        *,
        all_or_none: bool,
        external_id: str | None = None,
    ) -> list[Outcome]:
        self.check_heap()
        return self._dml.run(operation, records, all_or_none=all_or_none, external_id=external_id)

    def add_error(self, record: SObject, field: str | None, message: str) -> None:
        self.triggers.add_error(record, message if field is None else f"{message}: [{field}]")

    def publish(self, events: Sequence[SObject]) -> list[Outcome]:
        self.check_heap()
        return publish(self, events)

    def savepoint(self) -> Mark:
        self.limits.spend("DmlStatements")
        self.uncommitted = True
        return self.mark()

    def rollback(self, savepoint: object) -> None:
        assert isinstance(savepoint, Mark)
        self.limits.spend("DmlStatements")
        self.undo(savepoint)

    def run_as(self, user_id: str, block: Callable[[], None]) -> None:
        if self.test is None:
            throw("NoAccessException", "System.runAs may be called in tests only")
        self.limits.spend("DmlStatements")
        before, scope = self.user_id, self._dml
        self.user_id, self._dml = user_id, Dml(self)
        try:
            block()
        finally:
            self.user_id, self._dml = before, scope

    def enqueue(self, job: ApexObject, options: ApexObject | None, delay_min: int | None) -> Id:
        self.check_heap()
        queued = queued_job(self, job, options, delay_min)
        self.jobs.append(queued)
        return queued.job_id

    def schedule(self, name: str, cron: str, instance: ApexObject) -> Id:
        new = scheduled(self, name, cron, instance)
        self.schedules.append(new)
        return new.trigger_id

    def call_future(self, class_name: str, method: str, args: Sequence[Value]) -> None:
        self.jobs.append(queued_future(self, class_name, method, args))

    def attach_finalizer(self, finalizer: ApexObject) -> None:
        if self.context_kind is not Context.QUEUEABLE:
            throw("HandledException", "System.attachFinalizer is only allowed in a queueable job")
        if self.finalizer is not None:
            throw("HandledException", "System.attachFinalizer(Finalizer) was called already")
        self.finalizer = finalizer

    def send(self, request: HttpExchange) -> HttpAnswer | ApexObject:
        self.check_heap()
        return self._callouts.send(request)

    def limit(self, name: str) -> tuple[int, int]:
        if name.lower() == "heapsize" and self._heap_is_old():
            self.check_heap()
            self._heap_looked_at = self.session.statements
        if name.lower() == "cputime":
            self.check_cpu()
        used = self.limits.used(name)
        if used is None:
            raise context_values.unknown(f"Limits.get{name}")
        return used, self.limits.most(name)

    def _heap_is_old(self) -> bool:
        """Tell whether Apex that asks for its heap is told a new measure, which takes its time.

        Up to a quarter of the limit one in so many statements is enough; else one in each.
        """
        age = self.session.statements - self._heap_looked_at
        used = self.limits.used("HeapSize") or 0
        is_small = used * 4 < self.limits.most("HeapSize")
        return age > (_SMALL_HEAP_STATEMENTS if is_small else 0)

    def org_limit(self, name: str) -> tuple[int, int] | None:
        return self.org.limit(name)

    def context(self, name: str) -> Value:
        return context_values.value_of(self, name)

    def set_resume_checkpoint(self, replay_id: str) -> None:
        check_replay_id(self, replay_id)
        self.checkpoint = (replay_id, self.mark())

    def start_test(self) -> None:
        context_values.running_test(self).start(self)

    def stop_test(self) -> None:
        context_values.running_test(self).stop(self)

    def deliver_events(self) -> None:
        context_values.running_test(self).deliver_events(self)

    def set_mock(self, mock: ApexObject) -> None:
        context_values.running_test(self).mock = mock

    def custom_setting(self, type_name: str, owner: str | None, *, merged: bool) -> SObject | None:
        return settings.custom_setting(self, type_name, owner, merged=merged)

    def check_heap(self) -> None:
        self.limits.reach("HeapSize", heap_bytes(*self.session.roots()))
        self.check_cpu()
