"""One transaction of a program: triggers, coverage, what is reachable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.program import TriggerContext
from tests.apex_runtime.values import ApexThrown, Id, NotModelled, SObject

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex

ID = Id("00Q5g00000HotLd")


def test_a_trigger_sees_its_context(apex: Apex) -> None:
    # Guide page apex_triggers_context_variables
    trigger = """
    trigger T on lead (after update, before insert) {
        System.debug(Trigger.operationType + ' ' + Trigger.isAfter + Trigger.isUpdate);
        System.debug(Trigger.new[0].LastName + Trigger.size + Trigger.isExecuting);
        System.debug(Trigger.oldMap?.get(Trigger.new[0].Id)?.LastName + Trigger.newMap?.size());
    }
    """
    program = apex.program(trigger)
    (declared,) = program.triggers
    assert (declared.name, declared.object_name) == ("T", "lead")
    assert declared.events == {"AFTER_UPDATE", "BEFORE_INSERT"}
    session = program.session(apex.platform)
    new, old = (
        SObject("Lead", {"Id": ID, "LastName": "new"}),
        SObject("Lead", {"Id": ID, "LastName": "old"}),
    )
    session.run_trigger(declared, TriggerContext("AFTER_UPDATE", [new], [old]))
    session.run_trigger(declared, TriggerContext("BEFORE_INSERT", [SObject("Lead")], None))
    assert session.log == [
        "AFTER_UPDATE truetrue",
        "new1true",
        "old1",
        "BEFORE_INSERT falsefalse",
        "null1true",
        "nullnull",
    ]


def test_trigger_lists_cannot_be_changed(apex: Apex) -> None:
    program = apex.program("trigger T on Lead (before insert) { Trigger.new.add(new Lead()); }")
    session = program.session(apex.platform)
    with pytest.raises(ApexThrown, match="FinalException: Collection is read-only"):
        session.run_trigger(program.triggers[0], TriggerContext("BEFORE_INSERT", [], None))


def test_executed_lines_are_known(apex: Apex) -> None:
    source = """public class C {
        static Integer n = 1;
        public static void f(Boolean b) {
            if (b) {
                n++;
            } else {
                n--;
            }
        }
    }"""
    program = apex.program(source)
    session = program.session(apex.platform)
    session.call("C", "f", [True])
    assert program.executable_lines("Source0.cls") == {2, 4, 5, 7}
    assert {line for _, line in session.coverage} == {4, 5, 2}
    assert session.statements == 3


def test_roots_are_what_frames_and_statics_hold(apex: Apex) -> None:
    source = """
    public class Roots {
        static List<String> kept = new List<String>{ 'static' };
        public static void hold() { String held = 'local'; Limits.getHeapSize(); kept.add(held); }
    }
    """
    session = apex.session(source)
    seen: list[object] = []

    def limit(name: str) -> tuple[int, int]:
        seen.extend([name, *session.roots()])
        return (0, 1)

    apex.platform.limit = limit  # type: ignore[method-assign]  # looks at the heap while Apex runs
    session.call("Roots", "hold")
    assert "HeapSize" in seen
    assert "local" in seen
    assert "local" not in session.roots()
    assert [list(each) for each in session.roots() if isinstance(each, list)] == [
        ["static", "local"]
    ]


def test_the_heap_is_looked_at_while_code_runs(apex: Apex) -> None:
    apex.run("for (Integer i = 0; i < 20000; i++) { }")
    assert apex.platform.heap_checks >= 3


def test_calls_from_outside_convert_and_find_by_the_values(apex: Apex) -> None:
    source = """
    public class Called {
        public static String of(Long n) { return 'long ' + n; }
        public static String of(List<SObject> rows) { return 'rows ' + rows.size(); }
        private String own() { return 'own'; }
    }
    """
    session = apex.session(source)
    assert session.call("called", "OF", [3]) == "long 3"
    assert session.call(session.new("Called"), "own") == "own"
    with pytest.raises(NotModelled, match="no method takes these"):
        session.call("Called", "of", ["text"])
    with pytest.raises(NotModelled, match="class Nowhere"):
        session.call("Nowhere", "of")


def test_test_methods_are_known_by_their_annotations(apex: Apex) -> None:
    source = """
    @isTest private class Tests {
        @TestSetup static void make() { }
        @isTest static void one() { }
        static testMethod void two() { }
        static void helper() { }
    }
    """
    cls = apex.program(source).classes["tests"]
    assert cls.is_test
    assert cls.methods_annotated("isTest") == ["one", "two"]
    assert cls.methods_annotated("testSetup") == ["make"]
