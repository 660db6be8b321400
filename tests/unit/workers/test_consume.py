from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from workers.consume import Delivery

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage


class Message:
    """What a delivery looks at."""

    def __init__(self, **headers: object) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def delivery(**headers: object) -> Delivery:
    return Delivery(cast("AbstractIncomingMessage", Message(**headers)), [], [], None)


@pytest.mark.parametrize(("redelivered", "suspect"), [(0, False), (1, False), (2, True), (9, True)])
def test_the_third_delivery_is_suspect(redelivered: int, *, suspect: bool) -> None:
    assert delivery(x_delivery_count=redelivered).is_suspect is suspect


def test_a_first_delivery_has_no_count_and_is_not_suspect() -> None:
    assert not delivery().is_suspect
    assert not delivery(x_delivery_count="many").is_suspect
