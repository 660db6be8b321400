"""Asynchronous Apex: queueables with delays, signatures, chains and finalizers; future methods.

Source: Apex Developer Guide, apex_queueing_jobs, apex_dedupe_queueable,
apex_transaction_finalizers, apex_invoking_future_methods, apex_gov_limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.org import library_values
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.values import (
    ApexObject,
    ApexThrown,
    Id,
    LimitReached,
    deep_copy,
    throw,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import Value

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_MOST_DELAY_MIN: Final = 10
_TRIAL_STACK_DEPTH: Final = 5
_MOST_FAILURES_REQUEUED: Final = 5


@dataclass(frozen=True)
class Execution:
    """One run of asynchronous Apex, as it counts against the day's allowance."""

    class_name: str
    at_ms: int


@dataclass(frozen=True)
class Failure:
    """Asynchronous work or an event trigger that ended with an exception that nobody caught."""

    name: str
    at_ms: int
    error: ApexThrown | LimitReached


@dataclass(frozen=True)
class Job:
    """A queued job: an instance with the state that it had when it was queued, or a future method.

    `depth` counts from 1 for the first of a chain; `failures` how many before it in a row failed
    and were queued again by their finalizers.
    """

    job_id: Id
    class_name: str
    user_id: str
    due_ms: int
    instance: ApexObject | None = None
    future: tuple[str, Sequence[Value]] | None = None
    signature: Value = None
    delay_min: int = 0
    depth: int = 1
    most_depth: int | None = None
    failures: int = 0


def queued_job(
    tx: Transaction, instance: ApexObject, options: ApexObject | None, delay_min: int | None
) -> Job:
    """Check `System.enqueueJob` and return the job, which holds a copy of the instance's state.

    In Apex tests delays are ignored, and chains need a stack depth in their options.
    """
    _spend(tx, "QueueableJobs")
    chosen = library_values.async_options(options)
    delay = chosen.delay_min if delay_min is None else delay_min
    if not 0 <= (delay or 0) <= _MOST_DELAY_MIN:
        throw("IllegalArgumentException", f"The delay must be 0 to {_MOST_DELAY_MIN} minutes")
    if chosen.signature is not None and tx.org.queue.has(chosen.signature, tx.jobs):
        throw(
            "DuplicateMessageException",
            "Attempt to enqueue job with duplicate queueable signature",
        )
    parent = tx.job
    depth = 1 if parent is None else parent.depth + 1
    most = chosen.most_depth or (parent.most_depth if parent else None)
    if most is None and tx.test is not None:
        most = 1
    elif most is None and tx.org.edition.is_trial:
        most = _TRIAL_STACK_DEPTH
    if most is not None and depth > most:
        throw("AsyncException", "Maximum stack depth has been reached.")
    copied = deep_copy(instance)
    assert isinstance(copied, ApexObject)
    return Job(
        job_id=_row(tx, instance.cls.name, "Queueable"),
        class_name=instance.cls.name,
        user_id=tx.user_id,
        due_ms=tx.now_ms() + (0 if tx.test else (delay or 0) * _MINUTE_MS),
        instance=copied,
        signature=chosen.signature,
        delay_min=delay or 0,
        depth=depth,
        most_depth=most,
        failures=_failures(tx),
    )


def queued_future(tx: Transaction, class_name: str, method: str, args: Sequence[Value]) -> Job:
    """Check a call of a future method and return the job."""
    _spend(tx, "FutureCalls")
    if tx.context_kind in (Context.FUTURE, Context.BATCH):
        throw(
            "AsyncException",
            f"Future method cannot be called from a future or batch method: {class_name}.{method}",
        )
    copied = [deep_copy(each) for each in args]
    job_id = _row(tx, class_name, "Future")
    return Job(job_id, class_name, tx.user_id, tx.now_ms(), future=(method, copied))


def _spend(tx: Transaction, limit: str) -> None:
    """Count a job against the transaction and against the day, both uncatchably."""
    tx.limits.spend(limit)
    used, most = tx.org.queue.daily_use()
    if used + len(tx.jobs) >= most:
        raise LimitReached(f"Asynchronous Apex executions of the day: {most} are used")
    tx.uncommitted = True


def _failures(tx: Transaction) -> int:
    """Return how many failures in a row a job queued now follows; at most five by finalizers."""
    if tx.context_kind is not Context.FINALIZER or tx.job is None or not tx.delivery.get("failed"):
        return 0
    failures = tx.job.failures + 1
    if failures > _MOST_FAILURES_REQUEUED:
        throw("AsyncException", "The job failed and was queued again five times in a row")
    return failures


def _row(tx: Transaction, class_name: str, job_type: str) -> Id:
    """Store the job's AsyncApexJob and return its id."""
    job_id = tx.org.store.new_id(tx.org.catalog["AsyncApexJob"].prefix)
    row: dict[str, Value] = {
        "Id": job_id,
        "JobType": job_type,
        "Status": "Queued",
        "NumberOfErrors": 0,
    }
    row |= {"CreatedById": Id(tx.user_id), "ApexClassId": tx.org.class_id(class_name)}
    tx.org.store.put("AsyncApexJob", job_id, row)
    return job_id


class Queue:
    """The jobs that committed transactions have queued, and the count of all that ran."""

    def __init__(self, org: Org, *, daily_limit: int) -> None:
        self._org = org
        self.daily_limit = daily_limit
        self.executions: list[Execution] = []
        self.failures: list[Failure] = []
        self.waiting: list[Job] = []
        # When how many executions were counted: as a job is queued, or as a batch's scope runs.
        self._counted: list[tuple[int, int]] = []

    def daily_use(self) -> tuple[int, int]:
        """Return (used in the last 24 hours, allowed)."""
        since = self._org.clock.now_ms - _DAY_MS
        used = sum(executions for at_ms, executions in self._counted if at_ms > since)
        return used, self.daily_limit

    def use_up(self, executions: int) -> None:
        """Count executions against the day's allowance, other packages' too."""
        self._counted.append((self._org.clock.now_ms, executions))

    def ran(self, class_name: str) -> None:
        """Note that a job runs now."""
        self.executions.append(Execution(class_name, self._org.clock.now_ms))

    def has(self, signature: Value, pending: Sequence[Job]) -> bool:
        """Tell whether a job of this signature waits; one that runs or ran does not count."""
        return any(job.signature == signature for job in (*self.waiting, *pending))

    def add(self, job: Job) -> None:
        """Take a job of a committed transaction."""
        self.use_up(1)
        self.waiting.append(job)
        self._org.agenda.add(job.due_ms, lambda: self._run(job))

    def abort(self, class_name: str) -> int:
        """Abort the jobs of a class that wait, as an admin does under Apex Jobs; say how many."""
        aborted = [job for job in self.waiting if job.class_name == class_name]
        self.waiting = [job for job in self.waiting if job not in aborted]
        for job in aborted:
            self._note(job, Status="Aborted")
        return len(aborted)

    def failed(self, name: str, error: ApexThrown | LimitReached) -> None:
        """Note that something ended with an exception that nobody caught."""
        self.failures.append(Failure(name, self._org.clock.now_ms, error))

    def _run(self, job: Job) -> None:
        """Run a job that nobody aborted, and its finalizer after success and failure alike."""
        if job not in self.waiting:
            return
        self.waiting.remove(job)
        self.ran(job.class_name)
        self._note(job, Status="Processing")
        context = Context.QUEUEABLE if job.future is None else Context.FUTURE
        tx = self._org.begin(user_id=job.user_id, context=context, job=job)
        error: ApexThrown | LimitReached | None = None
        try:
            if job.future is not None:
                method, args = job.future
                tx.session.call(job.class_name, method, args)
            else:
                assert job.instance is not None
                tx.session.call(job.instance, "execute", [library_values.queueable_context(job)])
            tx.commit()
        except (ApexThrown, LimitReached) as ended:
            tx.abort()
            error = ended
            self.failed(job.class_name, ended)
        self._note_end(job, error)
        if tx.finalizer is not None:
            finalizer = deep_copy(tx.finalizer)
            assert isinstance(finalizer, ApexObject)
            self._finalize(job, finalizer, tx.request_id, error)

    def _finalize(
        self,
        job: Job,
        finalizer: ApexObject,
        request_id: str,
        error: ApexThrown | LimitReached | None,
    ) -> None:
        """Run a finalizer in a transaction of its own, which the day's allowance does not count."""
        tx = self._org.begin(
            user_id=job.user_id,
            context=Context.FINALIZER,
            job=job,
            delivery={"failed": error is not None},
        )
        try:
            context = library_values.finalizer_context(job, request_id, error)
            tx.session.call(finalizer, "execute", [context])
            tx.commit()
        except (ApexThrown, LimitReached) as ended:
            tx.abort()
            self.failed(finalizer.cls.name, ended)

    def _note_end(self, job: Job, error: ApexThrown | LimitReached | None) -> None:
        """Say in the job's row how it ended."""
        if error is None:
            self._note(job, Status="Completed")
        else:
            told = str(error.args[0])[:255]
            self._note(job, Status="Failed", NumberOfErrors=1, ExtendedStatus=told)

    def _note(self, job: Job, **fields: Value) -> None:
        """Write into the job's row."""
        row = dict(self._org.store.get("AsyncApexJob", job.job_id) or {})
        self._org.store.put("AsyncApexJob", job.job_id, {**row, **fields})
        self._org.store.commit()
