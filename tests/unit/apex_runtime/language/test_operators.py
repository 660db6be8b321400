"""Operators. [langCon_apex_expressions_operators_understanding]"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, Long

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / 2.0", Decimal("3.5")),
        ("1 / 3L", Long(0)),
        ("2147483647 + 1", -2147483648),
        ("2147483647 + 1L", Long(2147483648)),
        ("9223372036854775807L + 1", Long(-9223372036854775808)),
        ("1 << 3", 8),
        ("-1 >>> 28", 15),
        ("-8 >> 1", -4),
        ("5 & 3 | 8 ^ 2", 5 & 3 | 8 ^ 2),
        ("~5", -6),
        ("-(3)", -3),
        ("0.1 + 0.2", Decimal("0.3")),
        ("1.50 * 2", Decimal("3.00")),
        ("1 + 2 + 'a' + 1 + 2", "3a12"),
        ("'a' + null", "anull"),
        ("1 + 0.5d", 1.5),
    ],
)
def test_arithmetic_follows_the_operands_types(
    apex: Apex, expression: str, expected: object
) -> None:
    value = apex.value(expression)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' == 'A'", True),
        ("'a'.equals('A')", False),
        ("'a' != 'b'", True),
        ("(Object) 'a' == (Object) 'A'", True),
        ("1 == 1.0", True),
        ("null == null", True),
        ("(String) null == 'a'", False),
        ("'apple' < 'Banana'", True),
        ("1 < null", False),
        ("new List<Integer>{ 1 } == new List<Integer>{ 1 }", True),
        ("new List<Integer>{ 1 } === new List<Integer>{ 1 }", False),
        ("'abc' === 'abc'", True),
        ("Date.newInstance(2026, 1, 1) < Date.newInstance(2026, 1, 2)", True),
        ("new Lead(LastName = 'a') == new Lead(LastName = 'a')", True),
        ("true && !false || false", True),
        ("null instanceof String", False),
        ("(Object) 1 instanceof Integer", True),
        ("(Object) '00Q5g00000HotLd' instanceof Id", True),
        ("(Object) 'no id' instanceof Id", False),
    ],
)
def test_comparison(apex: Apex, expression: str, expected: bool) -> None:  # noqa: FBT001 (a parameter)
    assert apex.value(expression) is expected


def test_ids_of_15_and_18_characters_are_equal(apex: Apex) -> None:
    same = "(Id) '00Q5g00000HotLd' == (Id) '00Q5g00000HotLdEAJ'"
    assert apex.value(same) is True
    assert apex.value("'00Q5g00000HotLd' == (Id) '00Q5g00000HotLdEAJ'") is True
    assert apex.value("'00q5g00000hotld' == (Id) '00Q5g00000HotLdEAJ'") is False


@pytest.mark.parametrize(
    ("expression", "type_name"),
    [
        ("1 / 0", "MathException"),
        ("1.0 / 0", "MathException"),
        ("1 + (Integer) null", "NullPointerException"),
        ("((String) null).length()", "NullPointerException"),
        ("new List<Integer>()[0]", "ListException"),
        ("(Integer) (Object) 'a'", "TypeException"),
        ("(String) (Object) 1", "TypeException"),
        ("(Id) 'nonsense'", "StringException"),
        ("(Long) (Object) 1", "TypeException"),
    ],
)
def test_what_cannot_be_computed_throws(apex: Apex, expression: str, type_name: str) -> None:
    with pytest.raises(ApexThrown) as caught:
        apex.value(expression)
    assert caught.value.type_name == type_name


def test_narrowing_casts_cut(apex: Apex) -> None:
    assert apex.value("(Integer) 3.99") == 3
    assert apex.value("(Integer) 4294967297L") == 1
    assert apex.value("(Long) 3") == Long(3)


def test_shortcuts_evaluate_their_target_once(apex: Apex) -> None:
    body = """
    List<Integer> numbers = new List<Integer>{ 1, 2 };
    Integer i = 0;
    numbers[i++] += 10;
    String s = 'a'; s += 1; s += null;
    Integer n = 5; n -= 2; n *= 3; n /= 2; n <<= 2; n |= 1; n ^= 3;
    System.debug(numbers + ' ' + i + ' ' + s + ' ' + n + ' ' + i++ + ' ' + --i);
    """
    assert apex.run(body) == ["(11, 2) 1 a1null 18 1 1"]


def test_null_coalescing_and_ternary(apex: Apex) -> None:
    assert apex.value("(String) null ?? 'b'") == "b"
    assert apex.value("1 > 2 ? 1 : 2.5") == Decimal("2.5")
    assert apex.value("1 < 2 ? 1 : 2.5") == Decimal(1)


def test_safe_navigation_skips_the_rest_of_the_chain(apex: Apex) -> None:
    # Guide page langCon_apex_SafeNavigationOperator
    classes = "public class A { public A next; public String name; public A me() { return next; } }"
    assert apex.value("((A) null)?.next.me().name", classes) is None
    with pytest.raises(ApexThrown, match="NullPointerException"):
        apex.value("(new A())?.next.name", classes)
    with pytest.raises(ApexThrown, match="NullPointerException"):
        apex.value("(new A())?.me().name", classes)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Integer i = 1L;", "Illegal assignment from Long to Integer"),
        ("Integer i = 'a';", "Illegal assignment from String to Integer"),
        ("Boolean b = 1 == 'a';", "Comparison arguments must be compatible types"),
        ("Boolean b = 'a' && true;", "AND of String"),
        ("String s = 'a' - 'b';", "Operator SUBTRACTION"),
        ("Integer i = 5; i += 1.5;", "Illegal assignment from Decimal to Integer"),
        ("if (1) { }", "Condition expression must be of type Boolean"),
        ("Object o = 'a'; String s = o;", "Illegal assignment from Object to String"),
        ("Set<Object> s = new Set<String>();", "Illegal assignment"),
        ("Integer i = (Integer) 'a';", "Incompatible types"),
    ],
)
def test_wrong_types_are_refused_when_loading(
    refusals: Callable[..., str], body: str, message: str
) -> None:
    assert message in refusals(body)


def test_conversions_that_an_assignment_makes(apex: Apex) -> None:
    assert apex.run(
        """
        Long l = 1; Decimal d = l; Double x = d; Id i = '00Q5g00000HotLd'; String s = i;
        Datetime t = Date.newInstance(2026, 5, 1); Object o = l;
        List<SObject> rows = new List<Lead>(); List<Object> objects = new List<String>{ 'a' };
        System.debug(l + ' ' + d + ' ' + x + ' ' + s + ' ' + t + ' ' + (o instanceof Long));
        """
    ) == ["1 1 1.0 00Q5g00000HotLdEAJ 2026-05-01 00:00:00 true"]
