from __future__ import annotations

import asyncio

import pytest

from workers.relay.pace import Pace


async def test_turns_are_given_in_order_a_fixed_time_apart() -> None:
    clock_s = asyncio.get_running_loop().time
    pace = Pace(100, clock_s)
    given: list[tuple[int, float]] = []

    async def take(number: int) -> None:
        await pace.turn()
        given.append((number, clock_s()))

    started_s = clock_s()
    await asyncio.gather(*(take(number) for number in range(11)))
    assert [number for number, _ in given] == list(range(11))
    assert given[-1][1] - started_s >= 0.099


def test_who_asks_late_has_saved_nothing_up() -> None:
    now_s = 5.0
    pace = Pace(10, lambda: now_s)
    assert pace.backlog_s == 0
    asyncio.run(pace.turn())
    assert pace.backlog_s == pytest.approx(0.1)
    now_s = 50.0
    assert pace.backlog_s == 0
