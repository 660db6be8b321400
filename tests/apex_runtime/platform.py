"""What running Apex asks of the org around it: the seam between the language and the platform.

The interpreter knows syntax, types and pure library classes. Whatever has state or a limit
(records, jobs, events, callouts, time, users) it asks of a `Platform`, which lives for one
transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.apex_runtime.values import ApexObject, Id, SObject, Value


class HttpExchange(Protocol):
    """A callout as `Http.send` hands it over."""

    @property
    def endpoint(self) -> str:
        """The URL."""

    @property
    def method(self) -> str:
        """The verb."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers as the code set them."""

    @property
    def body(self) -> bytes:
        """The body before compression."""

    @property
    def compressed(self) -> bool:
        """Whether it is to be sent as gzip."""

    @property
    def timeout_ms(self) -> int:
        """How long the code waits."""

    @property
    def request(self) -> ApexObject:
        """The HttpRequest, for a test's mock."""


class HttpAnswer(Protocol):
    """What comes back of a callout."""

    @property
    def status_code(self) -> int:
        """Such as 202."""

    @property
    def status(self) -> str:
        """The reason phrase."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers as sent."""

    @property
    def body(self) -> bytes:
        """The body."""


class Platform(Protocol):
    """One transaction of one org, as the code that runs in it sees it."""

    def now_ms(self) -> int:
        """Return the org's clock, Unix ms."""

    def describe(self, name: str) -> Schema | None:
        """Return an sObject type by its API name in any case, None where the org has none."""

    def type_of_id(self, record_id: Id) -> str:
        """Return the API name of the type whose records' ids begin so; ApexThrown for none."""

    def query(self, soql: Mapping[str, object], bind: Binder) -> list[SObject]:
        """Answer a parsed query (`Expr$SoqlExpr`'s query tree, or one parsed from dynamic text).

        `SELECT COUNT()` answers with one AggregateResult whose field `expr0` is the number.
        """

    def dml(
        self,
        operation: str,
        records: Sequence[SObject],
        *,
        all_or_none: bool,
        external_id: str | None = None,
    ) -> Sequence[SaveResult]:
        """Run insert, update, upsert, delete, undelete or merge; raise ApexThrown for DmlException.

        merge takes the winner first, then the losers. `external_id` is upsert's key field. Inserted
        records get their Id in `fields`.
        """

    def add_error(self, record: SObject, field: str | None, message: str) -> None:
        """Refuse a record of the running trigger's `Trigger.new` or `Trigger.old` (`addError`)."""

    def publish(self, events: Sequence[SObject]) -> Sequence[SaveResult]:
        """Hand over platform events, which are delivered when the transaction commits."""

    def savepoint(self) -> object:
        """Mark where `rollback` may return to."""

    def rollback(self, savepoint: object) -> None:
        """Undo records, jobs and events since the savepoint; statics stay."""

    def run_as(self, user_id: str, block: Callable[[], None]) -> None:
        """Run a block of a test as another user (`System.runAs`), with a setup scope of its own."""

    def enqueue(self, job: ApexObject, options: ApexObject | None, delay_min: int | None) -> Id:
        """Queue a copy of `job` for when the transaction has committed."""

    def schedule(self, name: str, cron: str, instance: ApexObject) -> Id:
        """Schedule a copy of `instance` (`System.schedule`); return its CronTrigger's id."""

    def call_future(self, class_name: str, method: str, args: Sequence[Value]) -> None:
        """Queue a `@future` method for when the transaction has committed."""

    def attach_finalizer(self, finalizer: ApexObject) -> None:
        """Attach the running job's finalizer, once."""

    def send(self, request: HttpExchange) -> HttpAnswer | ApexObject:
        """Make a callout; raise ApexThrown for CalloutException.

        In a test the answer is the HttpResponse that the mock of `set_mock` gave.
        """

    def limit(self, name: str) -> tuple[int, int]:
        """Return (used, most) of a governor limit, named as in `Limits.get<Name>()`."""

    def org_limit(self, name: str) -> tuple[int, int] | None:
        """Return (used, most) of an `OrgLimits` entry."""

    def context(self, name: str) -> Value:
        """Return what UserInfo, Request, System, Test and Trigger say of the transaction.

        Names are such as `UserInfo.getUserId`, `Request.getRequestId`, `System.isBatch`,
        `Test.isRunningTest`, `AsyncInfo.getCurrentQueueableStackDepth`,
        `EventBus.TriggerContext.retries`, `EventBus.TriggerContext.lastError`.
        """

    def set_resume_checkpoint(self, replay_id: str) -> None:
        """Take the events up to this one as done, whatever becomes of the event trigger's run."""

    def start_test(self) -> None:
        """Begin a test's own limits (`Test.startTest`)."""

    def stop_test(self) -> None:
        """Run what was queued since `start_test`, then deliver its events (`Test.stopTest`)."""

    def deliver_events(self) -> None:
        """Deliver what a test published (`Test.getEventBus().deliver()`)."""

    def set_mock(self, mock: ApexObject) -> None:
        """Answer a test's callouts by the mock's `respond` (`Test.setMock`)."""

    def custom_setting(self, type_name: str, owner: str | None, *, merged: bool) -> SObject | None:
        """Return a hierarchy setting: merged for an owner (`getInstance`) or one level's row.

        `owner` is a user's or a profile's id. None is the organization for one level's row
        (`getOrgDefaults`), the running user for a merged one. Without any row the record has no Id;
        one level's row of a user or profile (`getValues`) is then None.
        """

    def check_heap(self) -> None:
        """End the transaction if what it holds is more than its heap limit."""


class Binder(Protocol):
    """Evaluates a bind expression of a query."""

    def __call__(self, expression: Mapping[str, object]) -> Value:
        """Return the value of an expression tree, or of a name for dynamic queries."""


class SaveResult(Protocol):
    """The outcome of one record of a DML statement."""

    @property
    def success(self) -> bool:
        """Whether the record was saved."""

    @property
    def record_id(self) -> Id | None:
        """Its id, None where it was not saved."""

    @property
    def errors(self) -> Sequence[tuple[str, str]]:
        """Status code and message of each error."""

    @property
    def created(self) -> bool:
        """Whether an upsert inserted it."""


class Schema(Protocol):
    """An sObject type: its API name, key prefix and fields (API name to type), in API spelling."""

    @property
    def name(self) -> str:
        """The API name."""

    @property
    def prefix(self) -> str:
        """The first three characters of its records' ids."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Fields by API name, with the Apex type of each."""

    @property
    def encrypted(self) -> frozenset[str]:
        """Names of the encrypted fields."""

    @property
    def relationships(self) -> Mapping[str, Sequence[str]]:
        """Parent relationship names (`Owner`), each with the types that it may lead to."""

    def writeable(self, name: str) -> bool:
        """Say whether Apex may assign a field: formulas and system fields it may not."""
