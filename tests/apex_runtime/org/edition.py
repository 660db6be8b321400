"""Editions, as far as limits differ between them."""

from __future__ import annotations

from enum import Enum


class Edition(Enum):
    """What an org may do depends on its edition: stack depth, events, schedules, calls."""

    ENTERPRISE = "Enterprise Edition"
    DEVELOPER = "Developer Edition"

    @property
    def is_trial(self) -> bool:
        """Whether chains of queueables end at a depth of five."""
        return self is Edition.DEVELOPER

    @property
    def events_an_hour(self) -> int:
        """How many platform events may be published in an hour."""
        return 50_000 if self is Edition.DEVELOPER else 250_000

    @property
    def scheduled_jobs(self) -> int:
        """How many Apex jobs may be scheduled at a time."""
        return 5 if self is Edition.DEVELOPER else 100

    @property
    def api_requests(self) -> int:
        """How many calls of the org's API a day allows, without any user's licence."""
        return 15_000 if self is Edition.DEVELOPER else 100_000
