"""String. [apex_methods_system_string]"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, NotModelled

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'abcdef'.abbreviate(5)", "ab..."),
        ("'abc'.abbreviate(5)", "abc"),
        ("'abc'.left(2) + 'abc'.right(2) + 'abc'.left(9) + 'abc'.mid(1, 1)", "abbcabcb"),
        ("'abcd'.substring(1, 3) + 'abcd'.substring(2)", "bccd"),
        ("String.join(new List<String>{ 'a', null, 'b' }, ',')", "a,,b"),
        ("String.join(new Set<Id>{ '00Q5g00000HotLd' }, ',')", "00Q5g00000HotLdEAJ"),
        ("String.join(new List<Object>{ 1, true }, '-')", "1-true"),
        ("'a,b,,'.split(',').size()", 2),
        ("'a,b,c'.split(',', 2)[1]", "b,c"),
        ("'a\\r\\nb\\nc'.split('\\r?\\n').size()", 3),
        ("''.split(',').size()", 1),
        ("'a.b'.split('\\\\.')[1]", "b"),
        ("'x-y'.removeStart('x').removeEnd('y')", "-"),
        ("'a b\\tc\\n'.deleteWhitespace()", "abc"),
        ("'aXbX'.remove('X')", "ab"),
        ("'123'.isNumeric() && !'1.5'.isNumeric() && !''.isNumeric()", True),
        ("String.isBlank(null) && String.isBlank('  ') && !String.isEmpty(' ')", True),
        ("'a' + String.valueOf(1.50) + String.valueOf(2L) + String.valueOf(true)", "a1.502true"),
        ("String.valueOf(null)", None),
        ("String.valueOf(Date.newInstance(2026, 5, 1))", "2026-05-01"),
        ("'' + Date.newInstance(2026, 5, 1)", "2026-05-01 00:00:00"),
        ("String.valueOf(Datetime.newInstance(0))", "1970-01-01 00:00:00"),
        ("String.valueOf(10000000000.0d) + 0.5d + 100.0d", "1.0E100.5100.0"),
        ("String.format('{0} isn\\'\\'t {1} {2}', new List<Object>{ 'a', 1 })", "a isn't 1 {2}"),
        ("'a1b22'.replaceAll('[0-9]+', '<$0>')", "a<1>b<22>"),
        ("'aXbxc'.indexOf('x') + 'aa'.lastIndexOf('a')", 4),
        ("'abc'.containsIgnoreCase('B') && 'abc'.startsWithIgnoreCase('A')", True),
        ("'hello'.hashCode()", 99162322),
        ("'a=b=c'.substringBefore('=') + 'a=b=c'.substringAfter('=')", "ab=c"),
        ("'a=b=c'.substringBeforeLast('=') + 'a=b=c'.substringAfterLast('=')", "a=bc"),
        ("'[x]'.substringBetween('[', ']')", "x"),
        ("'7'.leftPad(3, '0') + 'ab'.repeat(2) + 'abc'.reverse()", "007ababcba"),
        ("String.escapeSingleQuotes('it\\'s')", "it\\'s"),
        ("'b'.compareTo('a')", 1),
    ],
)
def test_methods_of_string(apex: Apex, expression: str, expected: object) -> None:
    assert apex.value(expression) == expected


def test_an_emoji_counts_as_two_characters(apex: Apex) -> None:
    assert apex.value("'a😀b'.length()") == 4
    assert apex.value("'a😀b'.substring(3)") == "b"
    assert apex.value("'a😀b'.left(3)") == "a😀"
    assert apex.value("'a😀b'.indexOf('b')") == 3
    assert apex.value("'x' + '😀'.left(1) + '😀'.right(1)") != "x"


@pytest.mark.parametrize(
    ("expression", "type_name"),
    [
        ("'abc'.substring(4)", "StringException"),
        ("'abc'.substring(2, 1)", "StringException"),
        ("'abc'.contains(null)", "NullPointerException"),
        ("Integer.valueOf('x')", "TypeException"),
        ("Integer.valueOf('2147483648')", "TypeException"),
        ("Decimal.valueOf('1,5')", "TypeException"),
    ],
)
def test_bad_arguments_throw(apex: Apex, expression: str, type_name: str) -> None:
    with pytest.raises(ApexThrown) as caught:
        apex.value(expression)
    assert caught.value.type_name == type_name


def test_a_regular_expression_of_another_dialect_is_not_modelled(apex: Apex) -> None:
    with pytest.raises(NotModelled, match="regular expression"):
        apex.value("'a'.replaceAll('\\\\p{L}', '')")
