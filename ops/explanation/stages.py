"""When the stages of the path handled something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(msgspec.Struct, frozen=True):
    """One stage of the path and when it handled the change, in Unix ms."""

    stage: str
    at: float
    since_received_ms: float | None


def stages(at: Mapping[str, float | None], received_at: float | None) -> list[Stage]:
    """Return the stages whose time (Unix ms) is known, as they are given."""
    return [
        Stage(stage, float(time), None if received_at is None else round(time - received_at, 1))
        for stage, time in at.items()
        if time is not None
    ]


def at_the_worker(
    persisted_at: float | None, delivered_at: float | None, delivery_count: int | None
) -> dict[str, float | None]:
    """Return the stages at the workers; times in Unix ms.

    Of deliveries, what is kept is how many there were if not one, and when the last one was. The
    one before came to a worker that did not settle it: it died, or let go of it. If the change was
    persisted by then, only the word of that was lost.
    """
    again = (
        f"delivered again ({delivery_count})" if (delivery_count or 1) > 1 else "published again"
    )
    return {again: delivered_at, "persisted by a worker": persisted_at}


def by_time(at: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return stages whose clocks agree in the order of their times."""
    return dict(sorted(at.items(), key=lambda stage: stage[1] or 0.0))
