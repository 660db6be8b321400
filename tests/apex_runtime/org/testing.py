"""Apex tests: each method in its own copy of the org, rolled back by being thrown away.

Source: Apex Developer Guide, apex_testing, apex_testing_tools_start_stop_test,
apex_classes_restful_http_testing_httpcalloutmock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.apex_runtime.org.limits import Context, Limits
from tests.apex_runtime.values import ApexObject, ApexThrown, LimitReached, throw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apex_runtime.language.declarations import ClassInfo
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.platform import HttpExchange
    from tests.apex_runtime.values import Value


@dataclass(frozen=True)
class TestResult:
    """How one test method ended: `failure` is None, or message and Apex stack."""

    __test__ = False  # a result, which pytest shall not collect

    class_name: str
    method: str
    failure: str | None


@dataclass
class Coverage:
    """Of one class or trigger: the lines that hold statements, and those that ran."""

    lines: set[int]
    covered: set[int] = field(default_factory=set)

    @property
    def share(self) -> float:
        """How much of it ran, 0 to 1."""
        return len(self.covered & self.lines) / len(self.lines) if self.lines else 1.0


class TestRun:
    """What is special in a test: mocked callouts, and work that runs when the test says so."""

    __test__ = False  # part of the executor, which pytest shall not collect

    def __init__(self) -> None:
        self.mock: ApexObject | None = None
        self._outer_limits: Limits | None = None

    def start(self, tx: Transaction) -> None:
        """Give the test limits of its own (`Test.startTest`)."""
        if self._outer_limits is not None:
            throw("FinalException", "Testing already started")
        self._outer_limits = tx.limits
        tx.limits = Limits(tx.limits.context)
        tx.uncommitted = False

    def stop(self, tx: Transaction) -> None:
        """Run what was queued, deliver events, and go back to the outer limits."""
        if self._outer_limits is None:
            throw("FinalException", "Test.startTest was not called")
        self.run_asynchronous(tx)
        tx.limits = self._outer_limits

    def deliver_events(self, tx: Transaction) -> None:
        """Deliver what was published (`Test.getEventBus().deliver()`)."""
        events, tx.events = tx.events, []
        for event in events:
            tx.org.bus.accept(event)
        tx.org.agenda.run_due()

    def run_asynchronous(self, tx: Transaction) -> None:
        """Run queued work and deliver events as if the test's transaction had committed.

        A job's exception that nobody caught ends the test at `Test.stopTest`.
        """
        failed_before = len(tx.org.failures)
        tx.hand_over()
        tx.jobs, tx.events, tx.schedules = [], [], []
        tx.org.agenda.run_due()
        for failure in tx.org.failures[failed_before:]:
            raise failure.error

    def respond(self, tx: Transaction, exchange: HttpExchange) -> ApexObject:
        """Answer a callout by the test's mock."""
        if self.mock is None:
            throw(
                "TypeException", "Methods defined as TestMethod do not support Web service callouts"
            )
        answer: Value = tx.session.call(self.mock, "respond", [exchange.request])
        if not isinstance(answer, ApexObject):
            throw("CalloutException", "The mock gave no HttpResponse")
        return answer


def run_tests(org: Org, *class_names: str) -> tuple[list[TestResult], dict[str, Coverage]]:
    """Run all test classes, or those named; return results, and coverage by file."""
    results = []
    coverage = {file: Coverage(org.program.executable_lines(file)) for file in _source_files(org)}
    for cls in _test_classes(org, class_names):
        prepared = _copy(org)
        failure = None
        for setup in cls.methods_annotated("TestSetup"):
            failure = failure or _run(prepared, cls.name, setup, coverage)
        for method in cls.methods_annotated("isTest"):
            ended = failure or _run(_copy(prepared), cls.name, method, coverage)
            results.append(TestResult(cls.name, method, ended))
    return results, coverage


def _test_classes(org: Org, names: tuple[str, ...]) -> Iterator[ClassInfo]:
    for cls in org.program.classes.values():
        if cls.is_test and (not names or cls.name in names):
            yield cls


def _source_files(org: Org) -> set[str]:
    """Return the files of the classes and triggers that count for coverage."""
    classes = {cls.file for cls in org.program.classes.values() if not cls.is_test}
    return classes | {trigger.file for trigger in org.program.triggers}


def _copy(org: Org) -> Org:
    """Return a copy in which tests run: of the same day, whose executions are counted already."""
    twin = org.copy()
    used, _ = org.queue.daily_use()
    twin.queue.use_up(used)
    twin.test = TestRun()
    return twin


def _run(org: Org, class_name: str, method: str, coverage: dict[str, Coverage]) -> str | None:
    """Run one method; return why it failed, None when it did not."""
    tx = org.begin(user_id=org.users.admin, context=Context.SYNC)
    try:
        tx.session.call(class_name, method)
        tx.commit()
    except (ApexThrown, LimitReached) as ended:
        return str(ended)
    finally:
        for file, line in (place for s in org.sessions for place in s.coverage):
            if file in coverage:
                coverage[file].covered.add(line)
    return None
