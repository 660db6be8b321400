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
