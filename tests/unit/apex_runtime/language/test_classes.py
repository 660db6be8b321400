"""Classes: fields, properties, inheritance, overloads, statics, access."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


def test_initializers_run_in_order_and_before_the_constructor(apex: Apex) -> None:
    source = """
    public virtual class A {
        public String log = 'a';
        { log += 'b'; }
        public A() { this('c'); log += 'd'; }
        public A(String more) { log += more; }
    }
    """
    below = """
    public class B extends A { String own = log + '!'; public B() { super('x'); log += own; } }
    """
    assert apex.value("new A().log", source) == "abcd"
    assert apex.value("new B().log", source, below) == "abxabx!"


def test_statics_are_initialized_once_a_session_at_first_use(apex: Apex) -> None:
    source = """
    public class Counted {
        public static Integer count = Log.note('count');
        static { count += 10; }
        public static Integer next() { return ++count; }
    }
    """
    log = "public class Log { public static Integer note(String s) { System.debug(s); return 1; } }"
    program = apex.program(source, log)
    session = program.session(apex.platform)
    session.anonymous("System.debug('before'); Counted.next(); System.debug(Counted.next());")
    assert session.log == ["before", "count", "13"]
    again = program.session(apex.platform)
    assert again.call("Counted", "next") == 12


def test_properties_have_accessors_or_are_plain(apex: Apex) -> None:
    source = """
    public class P {
        public Integer plain { get; private set; }
        public Integer twice { get { return twice * 2; } set { twice = value + 1; } }
        public static String shared {
            get { if (shared == null) { shared = 's'; } return shared; }
            set;
        }
        public P() { plain = 1; }
    }
    """
    body = """
    P made = new P(); made.twice = 4; made.twice += 1;
    System.debug(made.twice + ' ' + made.plain + P.shared);
    """
    assert apex.run(body, source) == ["24 1s"]


def test_virtual_methods_dispatch_by_the_instance(apex: Apex) -> None:
    shapes = """
    public abstract class Shape {
        public abstract Integer area();
        public virtual String name() { return 'shape'; }
        public String told() { return name() + area(); }
        public class Square extends Shape {
            public override Integer area() { return 4; }
            public override String name() { return 'square of ' + super.name(); }
        }
    }
    """
    assert apex.value("new Shape.Square().told()", shapes) == "square of shape4"


def test_interfaces_inner_types_and_enums(apex: Apex) -> None:
    source = """
    public class Outer {
        private static Integer base = 10;
        public interface Adder { Integer add(Integer n); }
        public class Ten implements Adder { public Integer add(Integer n) { return n + base; } }
        public enum Size { SMALL, LARGE }
        public static Integer run(Adder adder) { return adder.add(1); }
    }
    """
    assert apex.value("Outer.run(new Outer.Ten())", source) == 11
    assert apex.value("Outer.Size.valueOf('large').ordinal()", source) == 1
    assert apex.value("Outer.Size.values().size()", source) == 2
    assert apex.value("String.valueOf(Outer.Size.SMALL) + Outer.Size.SMALL.name()", source) == (
        "SMALLSMALL"
    )


def test_overloads_are_chosen_by_the_arguments_static_types(apex: Apex) -> None:
    source = """
    public class O {
        public static String of(Object o) { return 'Object'; }
        public static String of(String s) { return 'String'; }
        public static String of(Long l) { return 'Long'; }
        public static String of(Decimal d) { return 'Decimal'; }
        public static String of(SObject s) { return 'SObject'; }
        public static String of(List<Lead> s) { return 'Leads'; }
    }
    """
    for argument, chosen in {
        "1": "Long",
        "1.5": "Decimal",
        "'a'": "String",
        "(Object) 'a'": "Object",
        "new Lead()": "SObject",
        "new List<Lead>()": "Leads",
        "true": "Object",
    }.items():
        assert apex.value(f"O.of({argument})", source) == chosen


def test_names_are_case_insensitive(apex: Apex) -> None:
    source = "public class Mixed { static String Name = 'x'; public String GO() { return name; } }"
    assert apex.value("NEW mixed().go() + NEW MIXED().Go().TOUPPERCASE()", source) == "xX"


def test_instances_print_their_fields_or_their_own_text(apex: Apex) -> None:
    plain = "public class Plain { public Integer a = 1; String b = 'x'; }"
    own = "public class Own { public override String toString() { return 'own'; } }"
    assert apex.value("'' + new Plain()", plain) == "Plain:[a=1, b=x]"
    assert apex.value("String.valueOf(new Own()) + new List<Own>{ new Own() }", own) == "own(own)"


def test_calls_nested_too_deep_end_the_transaction(apex: Apex) -> None:
    source = "public class D { public static Integer go(Integer n) { return go(n + 1); } }"
    with pytest.raises(LimitReached, match="Maximum stack depth reached: 1001"):
        apex.value("D.go(0)", source)


def test_a_type_can_make_an_instance(apex: Apex) -> None:
    source = "public class Made { public Integer n = 3; }"
    assert apex.value("((Made) Type.forName('made').newInstance()).n", source) == 3
    assert apex.value("Type.forName('Nowhere')") is None
    assert apex.value("Made.class.getName()", source) == "Made"


def test_future_methods_are_queued_not_run(apex: Apex) -> None:
    # Guide page apex_invoking_future_methods
    source = (
        "public class F { @future(callout=true) public static void go(String s) { throw null; } }"
    )
    apex.run("F.go('x');", source)
    assert apex.platform.done == [("future", "F", "go", ("x",))]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("public class A extends B { } class B { }", "Missing '<EOF>'"),
        ("public class A { public final Integer x; void f() { x = 1; } }", "Final variable"),
        ("public class A { static void f() { g(); } void g() { } }", "static context"),
        ("public class A implements Queueable { }", "must implement the method"),
        ("public class A implements Cacheable { }", "unknown type Cacheable"),
        ("public abstract class A { void f() { new A(); } }", "Type cannot be constructed"),
        ("public class A { Integer x; String X; }", "Duplicate field: X"),
        ("public class A { void f(Integer a) { } void F(Integer b) { } }", "already defined"),
        ("public class A { @AuraEnabled public static void f() { } }", "annotation @AuraEnabled"),
        ("public class A { public Boolean equals(Object o) { return true; } }", "own equals"),
        ("public class A { webservice static void f() { } }", "modifier"),
        ("public class A { Nothing n; }", "unknown type Nothing"),
        ("public class A { void f() { new A(1); } }", "does not fit"),
        ("public class A { void f() { 'a'.nothing(); } }", "String.nothing() does not exist"),
        ("public class A { void f() { 'a'.left('b'); } }", "String.left(String) does not fit"),
        ("public class A { void f() { UserInfo.nothing(); } }", "UserInfo.nothing() does not"),
    ],
)
def test_bad_classes_are_refused_when_loading(
    refusals: Callable[..., str], source: str, message: str
) -> None:
    assert message in refusals("", source)


def test_private_members_are_visible_to_tests_only_when_marked(
    refusals: Callable[..., str], apex: Apex
) -> None:
    # Guide page apex_classes_annotation_testvisible
    source = """
    public class Hidden {
        private static Integer secret = 1;
        @TestVisible private static Integer shown = 2;
        @TestVisible private Hidden() { }
    }
    """
    use = "private class User1 {{ static Integer f() {{ new Hidden(); return Hidden.{}; }} }}"
    apex.program(source, "@isTest " + use.format("shown"))
    assert "not visible" in refusals("", source, "@isTest " + use.format("secret"))
    assert "not visible" in refusals("", source, "public " + use.format("shown")[8:])


def test_every_refusal_is_told_with_its_place(refusals: Callable[..., str]) -> None:
    source = "public class A {\n void f() {\n x = 1;\n }\n void g() { 'a'.nothing(); }\n}"
    told = refusals("", source)
    assert "Variable does not exist: x\n  at A.f (Source0.cls:3)" in told
    assert "nothing() does not exist, or is not modelled\n  at A.g (Source0.cls:5)" in told


def test_an_uncaught_exception_tells_where_it_came_from(apex: Apex) -> None:
    source = "public class A {\n public static void f() {\n String s;\n s.length();\n }\n}"
    with pytest.raises(ApexThrown, match=r"at A.f \(Source0.cls:4\)\n  at AnonymousBlock"):
        apex.run("A.f();", source)
