"""An org: its records, users, jobs, events and network, and how tests drive it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.language.dynamic_queries import parsed_query
from tests.apex_runtime.org import copying
from tests.apex_runtime.org.callouts import Callout, Fault, Network
from tests.apex_runtime.org.catalog import Catalog
from tests.apex_runtime.org.clock import Agenda, Clock
from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.org.events import EventBus
from tests.apex_runtime.org.jobs import Queue
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.org.metadata import Metadata
from tests.apex_runtime.org.schedule import Schedule
from tests.apex_runtime.org.store import Store
from tests.apex_runtime.org.transaction import Transaction
from tests.apex_runtime.org.triggers import Automation, PythonTrigger
from tests.apex_runtime.org.unit_of_work import UnitOfWork
from tests.apex_runtime.org.users import Users
from tests.apex_runtime.program import Program
from tests.apex_runtime.values import Id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.apex_runtime.org.dml import Outcome
    from tests.apex_runtime.org.jobs import Execution, Failure, Job
    from tests.apex_runtime.org.testing import TestRun
    from tests.apex_runtime.org.triggers import FieldUpdate, ValidationRule
    from tests.apex_runtime.program import Session
    from tests.apex_runtime.values import SObject, Value

ORG_ID: Final = "00D5g000004XyzAEAS"
_MINUTE_MS: Final = 60_000
_BULK_RECORDS: Final = 10_000


class Org:
    """An org with a program deployed to it.

    Nothing happens by itself: what transactions queue and publish waits for `run_until_idle` or
    `advance`. `start_ms` is the virtual time at which it begins, by default the real one.
    """

    def __init__(  # noqa: PLR0913  an org is what it is made of
        self,
        program: Program,
        catalog: Catalog,
        *,
        org_id: str = ORG_ID,
        edition: Edition = Edition.ENTERPRISE,
        is_sandbox: bool = False,
        daily_async_executions: int = 250_000,
        start_ms: int | None = None,
    ) -> None:
        self.program = program
        self.catalog = catalog
        self.org_id: Id = Id(org_id)
        self.edition = edition
        self.clock = Clock(time.time_ns() // 1_000_000 if start_ms is None else start_ms)
        self.agenda = Agenda(self.clock)
        self.store = Store()
        self.automation = Automation()
        self.network = Network(list(catalog.metadata.remote_sites))
        self.queue = Queue(self, daily_limit=daily_async_executions)
        self.schedule = Schedule(self)
        # Calls of the org's API, each of which counts against its daily requests.
        self.api_requests = 0
        self.users = Users(self, is_sandbox=is_sandbox)
        self.bus = EventBus(self, hourly_limit=edition.events_an_hour)
        # Lead conversion fires triggers: "Require Validation for Converted Leads".
        self.validates_converted_leads = True
        # What runs Apex tests in this org, and what they ran: for coverage.
        self.test: TestRun | None = None
        self.sessions: list[Session] = []

    @classmethod
    def deploy(
        cls,
        *folders: Path,
        fields: Mapping[str, Sequence[str]] | None = None,
        **options: Any,
    ) -> Self:
        """Return an org with the source in `folders`; objects and settings from the first.

        `fields` are declarations to add first, by object (see `schema.declare`).
        """
        catalog = Catalog(Metadata.read(folders[0]))
        for object_name, declarations in (fields or {}).items():
            for declaration in declarations:
                catalog.add_field(object_name, declaration)
        return cls(Program.load(folders, catalog.describe), catalog, **options)

    # Driving it.

    def begin(
        self,
        *,
        user_id: str,
        context: Context,
        job: Job | None = None,
        delivery: Mapping[str, Value] | None = None,
    ) -> Transaction:
        """Begin a transaction, which the caller commits or aborts."""
        tx = Transaction(
            self, user_id=user_id, context=context, job=job, delivery=delivery, test=self.test
        )
        if self.test is not None:
            self.sessions.append(tx.session)
        return tx

    @contextmanager
    def transaction(
        self, *, user: str | None = None, context: str = "sync"
    ) -> Iterator[UnitOfWork]:
        """Run a block as one transaction: committed at its end, rolled back by an exception."""
        tx = self.begin(user_id=Id(user or self.users.admin), context=Context(context))
        try:
            yield UnitOfWork(tx)
            tx.commit()
        except BaseException:
            tx.abort()
            raise

    def run_until_idle(self) -> None:
        """Run jobs and deliver events that are due now, and those that come of them."""
        self.agenda.run_due()

    def advance(self, *, minutes: float = 0, ms: int = 0) -> None:
        """Let virtual time pass and run what falls due, each at its time."""
        self.agenda.run_due(self.clock.now_ms + round(minutes * _MINUTE_MS) + ms)

    def bulk_load(
        self,
        operation: str,
        type_name: str | None,
        records: Sequence[SObject | Mapping[str, Any]],
        *,
        user: str | None = None,
    ) -> list[Outcome]:
        """Load as the Bulk API does: batches of 10,000, partial saves in chunks of 200.

        Limits begin anew with each chunk, statics live as long as the batch; chunks are committed.
        """
        outcomes: list[Outcome] = []
        for start in range(0, len(records), _BULK_RECORDS):
            tx = self.begin(user_id=Id(user or self.users.admin), context=Context.SYNC)
            batch = UnitOfWork(tx)
            self.api_requests += 1
            outcomes += batch.bulk(operation, type_name, records[start : start + _BULK_RECORDS])
        return outcomes

    def run_batch(
        self,
        execute: Callable[[UnitOfWork, Sequence[Any]], object] | str,
        records: Sequence[Any],
        *,
        scope: int = 200,
        user: str | None = None,
    ) -> None:
        """Run a batch job's `execute` over records, each scope in a transaction of its own.

        `execute` is Python, or the name of an Apex class with `execute(context, scope)`.
        """
        for start in range(0, len(records), scope):
            name = execute if isinstance(execute, str) else execute.__name__
            self.queue.use_up(1)
            self.queue.ran(name)
            with self.transaction(user=user, context="batch") as work:
                work.execute_batch(execute, records[start : start + scope])

    def select(self, soql: str) -> list[SObject]:
        """Answer a query outside of any limit; no binds."""
        tx = self.begin(user_id=self.users.admin, context=Context.SYNC)
        return tx.query(parsed_query(soql), _no_bind)

    # Setting it up.

    def user(self, username: str, **fields: object) -> Id:
        """Add a user without DML; `Id`, `UserRoleId`, `ProfileId` and so on may be given."""
        return self.users.add(username, **fields)

    def add_trigger(self, object_name: str, event: str, trigger: PythonTrigger) -> None:
        """Install another package's trigger, in Python, on `BEFORE_INSERT` … `AFTER_UNDELETE`."""
        self.automation.triggers.setdefault((object_name, event), []).append(trigger)

    def add_validation_rule(self, object_name: str, rule: ValidationRule) -> None:
        """Install a validation rule: given a record's fields, the message that refuses it."""
        self.automation.validation_rules.setdefault(object_name, []).append(rule)

    def add_field_update(self, object_name: str, update: FieldUpdate) -> None:
        """Install a workflow field update: given fields now and before, those that it changes."""
        self.automation.field_updates.setdefault(object_name, []).append(update)

    def add_remote_site(self, url: str) -> None:
        """Allow callouts to a site."""
        self.network.remote_sites.append(url)

    def route(self, endpoint: str, address: str) -> None:
        """Say where a public origin really is, such as `http://127.0.0.1:8080`."""
        self.network.routes[endpoint.lower().rstrip("/")] = address

    def fault(self, fault: Fault, times: int = 1) -> None:
        """Have the next callouts go wrong."""
        self.network.faults += [fault] * times

    def copy(self) -> Org:
        """Return an org of the same rows and automation, at the same time, with nothing queued."""
        return copying.copy(self)

    def copy_as_sandbox(self, org_id: str) -> Org:
        """Return a refreshed sandbox: the same code and rows, another org id; nothing is queued."""
        return copying.copy_as_sandbox(self, Id(org_id))

    # Looking at it.

    @property
    def callouts(self) -> list[Callout]:
        """The callouts that were made, faults included."""
        return self.network.made

    @property
    def async_executions(self) -> list[Execution]:
        """Every run of asynchronous Apex, with class name and time; finalizers do not count."""
        return self.queue.executions

    @property
    def failures(self) -> list[Failure]:
        """What ended with an exception that nobody caught, outside of a caller's sight."""
        return self.queue.failures

    def limit(self, name: str) -> tuple[int, int] | None:
        """Return (used, most) of an entry of `OrgLimits`, None for one of another name."""
        match name:
            case "DailyAsyncApexExecutions":
                return self.queue.daily_use()
            case "DailyApiRequests":
                return self.api_requests, self.edition.api_requests
            case "HourlyPublishedPlatformEvents":
                return self.bus.hourly_use()
            case _:
                return None

    def class_id(self, class_name: str) -> Id:
        """Return the id of a class's ApexClass row, which is made at the first question."""
        for row in self.store.rows("ApexClass"):
            if row["Name"] == class_name:
                return Id(str(row["Id"]))
        record_id = self.store.new_id(self.catalog["ApexClass"].prefix)
        self.store.put("ApexClass", record_id, {"Id": record_id, "Name": class_name})
        return record_id


def _no_bind(expression: object) -> Value:
    raise NotModelled(f"a bind in Org.select: {expression}")
