"""What can become of a delivery: the closed set of a target's answers."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Delivered(NamedTuple):
    """The target took it."""


class Refused(NamedTuple):
    """The target will never take it.

    `logged` is there where `error` has words of the target, which may quote the record.
    """

    error: str
    logged: str = ""


class Held(NamedTuple):
    """The target could not take it now; it may ask for a pause, in seconds.

    `is_known` when the target itself says that it did not act; otherwise it may have.
    `blames_row` when that says nothing of how the target is. `logged` as of `Refused`.
    """

    error: str
    retry_after_s: float | None = None
    is_known: bool = False
    blames_row: bool = False
    logged: str = ""


class Gone(NamedTuple):
    """The target wants nothing any more, of anybody."""

    error: str


Answer: TypeAlias = Delivered | Refused | Held | Gone


class SendApart(NamedTuple):
    """The target blames a request that told of several; each is to be told of by itself."""
