"""Assert. [apex_class_System_Assert]"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    "body",
    [
        "Assert.areEqual(1, 1L); Assert.areEqual('a', 'a', 'm');",
        "Assert.areNotEqual('a', 'A'); Assert.isTrue(true); Assert.isFalse(false, 'm');",
        "Assert.isNull(null); Assert.isNotNull(1); Assert.isInstanceOfType('a', String.class);",
        "System.assert(1 == 1); System.assertEquals(1, 1);",
    ],
)
def test_what_holds_passes(apex: Apex, body: str) -> None:
    apex.run(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Assert.areEqual(1, 2, 'told');", "Assertion Failed: told: Expected: 1, Actual: 2"),
        ("Assert.areEqual('a', 'A');", "Expected: a, Actual: A"),
        ("Assert.isTrue(null);", "Assertion Failed"),
        ("Assert.fail('never');", "Assertion Failed: never"),
        ("System.assertNotEquals(1, 1);", "Same value: 1"),
    ],
)
def test_what_does_not_hold_throws(apex: Apex, body: str, message: str) -> None:
    with pytest.raises(ApexThrown, match="AssertException") as caught:
        apex.run(body)
    assert message in str(caught.value)
