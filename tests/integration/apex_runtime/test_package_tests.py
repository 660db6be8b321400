"""The package's own Apex tests, run as in a plain org, and in orgs that make it hard for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.org.org import Org
from tests.apex_runtime.org.testing import run_tests
from tests.apex_runtime.parse import parser_path
from tests.salesforce_org import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.testing import Coverage, TestResult

TESTS: Final = PACKAGE.parents[1] / "test"
CAPTURED: Final = ("Account", "Contact", "Event", "Lead", "Opportunity", "Task", "User")
LEAST_IN_ALL: Final = 0.90
LEAST_EACH: Final = 0.85

pytestmark = pytest.mark.skipif(
    parser_path() is None, reason="Apex's parser is not installed: npm ci in apex/"
)

Run = tuple[list["TestResult"], dict[str, "Coverage"]]


@pytest.fixture(scope="module")
def run() -> Run:
    return run_tests(Org.deploy(PACKAGE, TESTS))


def failures(results: Sequence[TestResult]) -> str:
    """Return what each failing method said, empty when all passed."""
    failed = (each for each in results if each.failure is not None)
    return "\n\n".join(f"{each.class_name}.{each.method}: {each.failure}" for each in failed)


def table(coverage: dict[str, Coverage]) -> str:
    """Return a line per class and trigger: how many of its lines ran, and which did not."""
    return "\n".join(
        f"{len(each.covered & each.lines):4}/{len(each.lines):<4}{each.share:6.0%}"
        f"  {Path(file).name}  {sorted(each.lines - each.covered) or ''}"
        for file, each in sorted(coverage.items())
    )


def test_every_method_passes(run: Run) -> None:
    results, _ = run
    assert not failures(results), failures(results)


def test_each_class_has_a_test_class_with_methods(run: Run) -> None:
    results, _ = run
    tested = {each.class_name for each in results}
    assert tested == {f"{source.stem}Test" for source in PACKAGE.rglob("*.cls")}


def test_they_cover_the_package(run: Run) -> None:
    _, coverage = run
    sys.stdout.write(f"{table(coverage)}\n")
    shipped = {str(file) for kind in ("cls", "trigger") for file in PACKAGE.rglob(f"*.{kind}")}
    assert coverage.keys() == shipped
    every = sum(len(each.lines) for each in coverage.values())
    ran = sum(len(each.covered & each.lines) for each in coverage.values())
    assert ran / every >= LEAST_IN_ALL, table(coverage)
    short = [file for file, each in coverage.items() if each.share < LEAST_EACH]
    assert not short, table(coverage)


def test_they_pass_where_rules_refuse_every_record() -> None:
    org = Org.deploy(PACKAGE, TESTS)
    for name in CAPTURED:
        org.add_validation_rule(name, lambda _: "refused by a rule of the customer's")
    results, _ = run_tests(org)
    assert not failures(results), failures(results)


def test_they_pass_where_records_need_fields_that_they_do_not_know() -> None:
    org = Org.deploy(PACKAGE, TESTS, fields={"Lead": ["Region__c Text(10) required"]})
    results, _ = run_tests(org)
    assert not failures(results), failures(results)


def test_they_pass_in_a_developer_org_whose_day_is_spent() -> None:
    org = Org.deploy(PACKAGE, TESTS, edition=Edition.DEVELOPER, daily_async_executions=1000)
    org.queue.use_up(960)
    results, _ = run_tests(org)
    assert not failures(results), failures(results)
