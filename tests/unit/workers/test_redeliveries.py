"""What a message tells of having come before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.broker import RUN_HEADER
from workers.received import Redelivery
from workers.redeliveries import redelivery_of


@pytest.mark.parametrize(
    ("headers", "redelivered", "expected"),
    [
        ({}, False, None),
        ({"x-delivery-count": 0}, False, None),
        ({}, True, Redelivery(2, 5, None)),
        ({"x-delivery-count": 3}, True, Redelivery(4, 5, None)),
        ({RUN_HEADER: 7}, False, Redelivery(1, 5, 7)),
        ({RUN_HEADER: 7, "x-delivery-count": 1}, True, Redelivery(2, 5, 7)),
        ({RUN_HEADER: "seven"}, False, Redelivery(1, 5, None)),
    ],
)
def test_a_message_that_came_before_or_is_of_a_run_says_so(
    headers: dict[str, object], *, redelivered: bool, expected: Redelivery | None
) -> None:
    message = cast("Any", SimpleNamespace(headers=headers, redelivered=redelivered))
    assert redelivery_of(message, 5) == expected
