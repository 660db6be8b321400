"""Governor limits: how much each context may use in one transaction, and what was used.

Source: Apex Developer Guide, apex_gov_limits; for finalizers apex_transaction_finalizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.apex_runtime.values import LimitReached


class Context(StrEnum):
    """What a transaction runs as; a trigger has the limits of the one that it is part of."""

    SYNC = "sync"
    QUEUEABLE = "queueable"
    FUTURE = "future"
    BATCH = "batch"
    EVENT = "event"
    FINALIZER = "finalizer"
    SCHEDULED = "scheduled"

    @property
    def asynchronous(self) -> bool:
        """Whether the limits of asynchronous Apex hold; event triggers have synchronous ones."""
        return self in (Context.QUEUEABLE, Context.FUTURE, Context.BATCH)


@dataclass(frozen=True)
class _Limit:
    """A limit in synchronous and in asynchronous Apex, and what is said when it is passed."""

    name: str
    sync: int
    asynchronous: int
    message: str


_TABLE: Final = (
    _Limit("Queries", 100, 200, "Too many SOQL queries: {}"),
    _Limit("QueryRows", 50_000, 50_000, "Too many query rows: {}"),
    _Limit("AggregateQueries", 300, 300, "Too many Aggregate queries: {}"),
    _Limit("SoslQueries", 20, 20, "Too many SOSL queries: {}"),
    _Limit("DmlStatements", 150, 150, "Too many DML statements: {}"),
    _Limit("DmlRows", 10_000, 10_000, "Too many DML rows: {}"),
    _Limit("Callouts", 100, 100, "Too many callouts: {}"),
    _Limit("QueueableJobs", 50, 1, "Too many queueable jobs added to the queue: {}"),
    _Limit("FutureCalls", 50, 0, "Too many future calls: {}"),
    _Limit("HeapSize", 6_000_000, 12_000_000, "Apex heap size too large: {}"),
    _Limit("CpuTime", 10_000, 60_000, "Apex CPU time limit exceeded"),
    _Limit("PublishImmediateDML", 150, 150, "Too many publish immediate DML operations: {}"),
    _Limit("EmailInvocations", 10, 10, "Too many email invocations: {}"),
)
_ASYNCHRONOUS_IN_A_FINALIZER: Final = frozenset({"HeapSize", "QueueableJobs", "FutureCalls"})
_FUTURE_CALLS_OF_A_QUEUEABLE: Final = 50


class Limits:
    """What one transaction has used of each limit, by the names of `Limits.get<Name>()`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._used = {limit.name.lower(): 0 for limit in _TABLE}
        self._by_name = {limit.name.lower(): limit for limit in _TABLE}

    def most(self, name: str) -> int:
        """Return how much is allowed."""
        limit = self._by_name[name.lower()]
        if limit.name == "QueueableJobs" and self.context is Context.SCHEDULED:
            return limit.asynchronous
        if limit.name == "FutureCalls" and self.context is Context.QUEUEABLE:
            return _FUTURE_CALLS_OF_A_QUEUEABLE
        asynchronous = self.context.asynchronous or (
            self.context is Context.FINALIZER and limit.name in _ASYNCHRONOUS_IN_A_FINALIZER
        )
        return limit.asynchronous if asynchronous else limit.sync

    def used(self, name: str) -> int | None:
        """Return how much was used, None for a limit of another name."""
        return self._used.get(name.lower())

    def spend(self, name: str, amount: int = 1) -> None:
        """Use so much of a limit.

        Raises:
            LimitReached: beyond what is allowed, which no Apex catches.
        """
        self.reach(name, self._used[name.lower()] + amount)

    def reach(self, name: str, amount: int) -> None:
        """Say how much is used now, where that is measured and not added up."""
        self._used[name.lower()] = amount
        if amount > self.most(name):
            raise LimitReached(self._by_name[name.lower()].message.format(amount))

    def snapshot(self) -> dict[str, int]:
        """Return what `restore` takes."""
        return dict(self._used)

    def restore(self, used: dict[str, int]) -> None:
        """Go back to what was used before, as a partial save's second attempt does."""
        self._used = dict(used)
