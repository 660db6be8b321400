"""What a check finds."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How a check came out.

    `skipped`: it needs a setting that is not there. `unknown`: it was tried, and could not be made.
    Neither counts as fine.
    """

    FINE = "fine"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: what was found, in words, and the command that mends it."""

    check: str
    state: State
    told: str
    mend: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """A finding whose check is named by the function that made it."""

    state: State
    told: str
    mend: str | None = None


class NotMade(Exception):
    """A check has nothing to look at; says why."""


class NeedsSetting(Exception):
    """A check needs a setting; says which."""


def fine(told: str) -> Verdict:
    """All is well."""
    return Verdict(State.FINE, told)


def wrong(told: str, mend: str) -> Verdict:
    """Something is wrong; `mend` is a command, or what to do where there is none."""
    return Verdict(State.WRONG, told, mend)
