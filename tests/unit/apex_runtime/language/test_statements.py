"""Statements: loops, switch, and what may not be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, Id, SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


def test_loops_break_and_continue(apex: Apex) -> None:
    body = """
    String s = '';
    for (Integer i = 0, j = 9; i < j; i++) { if (i == 2) { continue; } if (i == 5) break; s += i; }
    Integer n = 0;
    while (true) { n++; if (n > 3) { break; } }
    do { n++; } while (n < 10);
    for (String each : new Set<String>{ 'x', 'y' }) { s += each; }
    for (Integer each : new List<Integer>{ 7, 8 }) s += each;
    System.debug(s + n);
    """
    assert apex.run(body) == ["0134xy7810"]


def test_a_collection_may_not_change_while_it_is_iterated(apex: Apex) -> None:
    with pytest.raises(ApexThrown, match="FinalException"):
        apex.run("Set<Integer> s = new Set<Integer>{ 1, 2 }; for (Integer i : s) { s.add(i + 9); }")


def test_a_query_loop_takes_records_one_by_one_or_in_chunks_of_200(apex: Apex) -> None:
    # Guide page langCon_apex_loops_for_SOQL
    apex.platform.rows = [SObject("Lead", {"LastName": str(n)}) for n in range(450)]
    assert apex.run(
        """
        Integer n = 0;
        for (Lead l : [SELECT LastName FROM Lead]) { n += l.LastName.length(); }
        System.debug(n);
        for (List<Lead> chunk : [SELECT LastName FROM Lead]) { System.debug(chunk.size()); }
        """
    ) == ["1240", "200", "200", "50"]


def test_switch_takes_the_first_fitting_case(apex: Apex) -> None:
    # Guide page langCon_apex_switch_statement
    classes = """
    public class S {
        public enum Colour { RED, GREEN }
        public static String text(String s) {
            switch on s {
                when 'a', 'b' { return 'ab'; }
                when null { return 'null'; }
                when else { return 'else'; }
            }
        }
        public static String colour(Colour c) {
            switch on c { when RED { return 'r'; } when GREEN { return 'g'; } }
            return 'none';
        }
        public static String record(SObject row) {
            switch on row {
                when Lead l { return 'lead ' + l.LastName; }
                when Account a { return 'account'; }
                when else { return 'other'; }
            }
        }
        public static String whole(Integer i) {
            switch on i { when -1 { return 'minus'; } when 2 { return 'two'; } }
            return 'none';
        }
    }
    """
    for expression, expected in {
        "S.text('b')": "ab",
        "S.text('B')": "else",
        "S.text(null)": "null",
        "S.colour(S.Colour.GREEN)": "g",
        "S.colour(null)": "none",
        "S.record(new Lead(LastName = 'x'))": "lead x",
        "S.record(new User())": "other",
        "S.whole(-1)": "minus",
    }.items():
        assert apex.value(expression, classes) == expected


def test_variables_are_null_until_assigned(apex: Apex) -> None:
    body = "for (Integer i = 0; i < 2; i++) { String s; System.debug(s); s = 'a'; }"
    assert apex.run(body) == ["null", "null"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Integer i; Integer I;", "Duplicate variable: I"),
        ("Integer i; for (Integer i = 0; i < 1; i++) { }", "Duplicate variable: i"),
        ("break;", "Break statement must be in loop"),
        ("for (String s : 'abc') { }", "Loop must iterate over a collection type"),
        ("for (Long l : new List<Integer>()) { }", "Loop variable must be of type Integer"),
        ("1 + 1;", "Expression cannot be a statement"),
        ("Integer i = nothing;", "Variable does not exist: nothing"),
        ("nothing();", "Method does not exist: nothing"),
        ("throw 'text';", "Illegal throw from String"),
        ("insert 'text';", "DML requires SObject"),
        ("update as user new Lead();", "not modelled: update as user"),
    ],
)
def test_bad_statements_are_refused_when_loading(
    refusals: Callable[..., str], body: str, message: str
) -> None:
    assert message in refusals(body)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("Integer f() { return 1; Integer i; }", "Unreachable statement"),
        ("Integer f(Boolean b) { if (b) { return 1; } }", "Missing return statement"),
        ("void f() { return 1; }", "Void method must not return a value"),
        ("Integer f() { return; }", "Missing return statement"),
        ("Integer f() { try { return 1; } catch (Exception e) { } }", "Missing return statement"),
    ],
)
def test_returns_are_checked_when_loading(
    refusals: Callable[..., str], member: str, message: str
) -> None:
    assert message in refusals("", f"public class A {{ {member} }}")


def test_dml_statements_go_to_the_platform(apex: Apex) -> None:
    apex.run(
        """
        Lead one = new Lead(LastName = 'a');
        insert one;
        update new List<Lead>{ one, one };
        upsert one Score__c;
        Lead other = new Lead();
        merge one other;
        """
    )
    assert [(each[0], len(each[1]), *each[2:]) for each in apex.platform.done] == [  # type: ignore[arg-type]  # records
        ("insert", 1, True, None),
        ("update", 2, True, None),
        ("upsert", 1, True, "Score__c"),
        ("merge", 2, True, None),
    ]


def test_run_as_runs_its_block_as_another_user(apex: Apex) -> None:
    # Guide page apex_testing_tools_runas
    user_id = Id("0055g00000AbCdEAAV")
    log = apex.run("System.runAs(new User(Id = '0055g00000AbCdEAAV')) { System.debug('in'); }")
    assert log == ["in"]
    assert apex.platform.done == [("run_as", user_id)]
