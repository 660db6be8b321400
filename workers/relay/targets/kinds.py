"""The kinds of target."""

from __future__ import annotations

from enum import StrEnum


class TargetKind(StrEnum):
    """The kinds of target. A rule's webhooks, each URL a target of its own, are calls."""

    WEBHOOK = "webhook"
    MIXMAX = "mixmax"
    CALL = "call"

    @classmethod
    def of(cls, target: str) -> TargetKind:
        """Return the kind of a target by its name; a call's is its URL."""
        return cls(target) if target in {cls.WEBHOOK, cls.MIXMAX} else cls.CALL
