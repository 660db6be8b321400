"""Times of the past as people type them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

import click

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([mhdw])")
_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


class Time(click.ParamType[int]):
    """A time of the past, as Unix ms: `7d` ago, or in RFC 3339."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what was typed."""
        if isinstance(value, int):
            return value
        text = str(value)
        if duration := _DURATION.fullmatch(text):
            return now_ms() - int(duration[1]) * _UNITS_MS[duration[2]]
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is no duration, such as 90m, 24h or 7d, and no time, such as"
                " 2026-05-01T12:00:00Z",
                param,
                ctx,
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)


def now_ms() -> int:
    """Return the time, as Unix ms."""
    return time.time_ns() // 1_000_000
