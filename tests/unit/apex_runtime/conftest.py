"""Apex in a test: sources and snippets, run against a platform that holds almost nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.language.queries import bind_nodes
from tests.apex_runtime.parse import parser_path
from tests.apex_runtime.program import Program, Session
from tests.apex_runtime.values import ApexObject, Id, NotModelled, SObject, throw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.apex_runtime.platform import Binder, HttpAnswer, HttpExchange
    from tests.apex_runtime.values import Value

NOW_MS = 1_777_636_800_123
"""2026-05-01T12:00:00.123Z."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the parser where it is absent."""
    if parser_path() is None:
        absent = pytest.mark.skip(reason="Salesforce's Apex parser is absent: npm ci in apex/")
        for item in items:
            if {"apex", "refusals"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(absent)


@dataclass(frozen=True)
class Type:
    """An sObject type (`platform.Schema`)."""

    name: str
    prefix: str
    fields: Mapping[str, str]
    encrypted: frozenset[str] = frozenset()
    relationships: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def writeable(self, name: str) -> bool:
        """Say whether Apex may assign a field."""
        return name not in {"CreatedDate", "SystemModstamp"}


TYPES = {
    each.name.casefold(): each
    for each in (
        Type(
            "Lead",
            "00Q",
            {
                "Id": "Id",
                "FirstName": "String",
                "LastName": "String",
                "Status": "String",
                "OwnerId": "Id",
                "Score__c": "Decimal",
                "Birthdate__c": "Date",
                "Seen__c": "Datetime",
                "Hot__c": "Boolean",
                "Secret__c": "String",
                "CreatedDate": "Datetime",
            },
            encrypted=frozenset({"Secret__c"}),
            relationships={"Owner": ("User",)},
        ),
        Type("Account", "001", {"Id": "Id", "Name": "String"}),
        Type("User", "005", {"Id": "Id", "Name": "String"}),
        Type("Options__c", "a00", {"Id": "Id", "On__c": "Boolean"}),
        Type("Ping__e", "e00", {"Text__c": "String"}),
    )
}


@dataclass
class Outcome:
    """What became of one record."""

    success: bool
    record_id: Id | None
    errors: Sequence[tuple[str, str]] = ()
    created: bool = False


@dataclass
class Answer:
    """An HTTP answer."""

    status_code: int
    status: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Platform:
    """Remembers what it is asked to do; answers queries with `rows`, callouts with `answer`."""

    rows: list[SObject] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer(200, "OK", {}, b""))
    done: list[tuple[object, ...]] = field(default_factory=list)
    bound: list[Value] = field(default_factory=list)
    refused: frozenset[int] = frozenset()
    heap_checks: int = 0

    def now_ms(self) -> int:
        return NOW_MS

    def describe(self, name: str) -> Type | None:
        return TYPES.get(name.casefold())

    def type_of_id(self, record_id: Id) -> str:
        return next(each.name for each in TYPES.values() if record_id.startswith(each.prefix))

    def query(self, soql: Mapping[str, object], bind: Binder) -> list[SObject]:
        self.bound = [bind(node) for node in bind_nodes(soql)]
        self.done.append(("query", soql))
        return list(self.rows)

    def dml(
        self,
        operation: str,
        records: Sequence[SObject],
        *,
        all_or_none: bool,
        external_id: str | None = None,
    ) -> list[Outcome]:
        self.done.append((operation, tuple(records), all_or_none, external_id))
        if all_or_none and self.refused:
            throw("DmlException", "Insert failed.")
        return [
            Outcome(False, None, [("REQUIRED_FIELD_MISSING", "Required: [LastName]")])
            if place in self.refused
            else Outcome(True, Id("00Q5g00000HotLd"))
            for place, _ in enumerate(records)
        ]

    def add_error(self, record: SObject, field: str | None, message: str) -> None:
        self.done.append(("add_error", record, field, message))

    def publish(self, events: Sequence[SObject]) -> list[Outcome]:
        self.done.append(("publish", tuple(events)))
        return [Outcome(True, None) for _ in events]

    def savepoint(self) -> object:
        return "mark"

    def rollback(self, savepoint: object) -> None:
        self.done.append(("rollback", savepoint))

    def run_as(self, user_id: str, block: Callable[[], None]) -> None:
        self.done.append(("run_as", user_id))
        block()

    def enqueue(self, job: ApexObject, options: ApexObject | None, delay_min: int | None) -> Id:
        self.done.append(("enqueue", job, options, delay_min))
        return Id("7075g00000JobId")

    def schedule(self, name: str, cron: str, instance: ApexObject) -> Id:
        self.done.append(("schedule", name, cron, instance))
        return Id("08e5g00000CronId")

    def call_future(self, class_name: str, method: str, args: Sequence[Value]) -> None:
        self.done.append(("future", class_name, method, tuple(args)))

    def attach_finalizer(self, finalizer: ApexObject) -> None:
        self.done.append(("finalizer", finalizer))

    def send(self, request: HttpExchange) -> HttpAnswer | ApexObject:
        self.done.append(("send", request))
        return self.answer

    def limit(self, name: str) -> tuple[int, int]:
        return {"QueueableJobs": (1, 50)}.get(name, (0, 100))

    def org_limit(self, name: str) -> tuple[int, int] | None:
        return (5, 250_000) if name == "DailyAsyncApexExecutions" else None

    def context(self, name: str) -> Value:
        values: dict[str, Value] = {
            "UserInfo.getUserId": "0055g00000AbCdEAAV",
            "Test.isRunningTest": True,
            "Request.getRequestId": "4q8v",
            "Request.getQuiddity": "QUEUEABLE",
            "EventBus.TriggerContext.retries": 3,
            "EventBus.TriggerContext.lastError": None,
            "URL.getOrgDomainUrl": "https://example.my.salesforce.com",
        }
        if name not in values:
            raise NotModelled(name)
        return values[name]

    def set_resume_checkpoint(self, replay_id: str) -> None:
        self.done.append(("checkpoint", replay_id))

    def start_test(self) -> None:
        self.done.append(("start_test",))

    def stop_test(self) -> None:
        self.done.append(("stop_test",))

    def deliver_events(self) -> None:
        self.done.append(("deliver",))

    def set_mock(self, mock: ApexObject) -> None:
        self.done.append(("mock", mock))

    def custom_setting(self, type_name: str, owner: str | None, *, merged: bool) -> SObject | None:
        self.done.append(("setting", type_name, owner, merged))
        return SObject(type_name, {"On__c": True})

    def check_heap(self) -> None:
        self.heap_checks += 1


@dataclass
class Apex:
    """Runs snippets; `platform` is what the last one ran against."""

    platform: Platform = field(default_factory=Platform)

    def program(self, *sources: str) -> Program:
        """Compile classes and triggers, each a file of its own."""
        named = {f"Source{place}.cls": source for place, source in enumerate(sources)}
        return Program.of(named, self.platform.describe)

    def session(self, *sources: str) -> Session:
        """Compile sources and begin a transaction."""
        return self.program(*sources).session(self.platform)

    def run(self, body: str, *sources: str) -> list[str]:
        """Run anonymous Apex; return what it gave to `System.debug`."""
        session = self.session(*sources)
        session.anonymous(body)
        return session.log

    def value(self, expression: str, *sources: str, before: str = "") -> Value:
        """Return what an Apex expression gives."""
        body = f"public static Object give() {{ {before} return {expression}; }}"
        session = self.session(f"public class Probe {{ {body} }}", *sources)
        return session.call("Probe", "give")


@pytest.fixture
def apex() -> Apex:
    """Return Apex over an empty platform."""
    return Apex()


@pytest.fixture
def refusals() -> Callable[..., str]:
    """Return a function that gives the message with which sources or a body are refused."""

    def refused(body: str, *sources: str) -> str:
        with pytest.raises(CompileError) as caught:
            Apex().run(body, *sources)
        return str(caught.value)

    return refused
