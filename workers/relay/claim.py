"""A claimed outbox row with all that was seen of it, and what is to become of it."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from pipeline import metrics

if TYPE_CHECKING:
    from datetime import date, datetime


class RowKind(StrEnum):
    """What an outbox row tells of."""

    ADD = "add"
    EXIT = "exit"
    CALL = "call"


class DelayedFor(StrEnum):
    """What puts a row off."""

    QUIET_HOURS = "quiet_hours"
    DAILY_CAP = "daily_cap"


class Send(NamedTuple):
    """It is to be sent; `day` is the day of its sequence in which it has a place, if days count."""

    day: date | None = None


class Superseded(NamedTuple):
    """It needs no telling any more."""


class Suppressed(NamedTuple):
    """Nothing is sent to its recipient."""

    reason: str


class Delayed(NamedTuple):
    """It was put off."""

    delayed_for: DelayedFor
    until: datetime


Verdict: TypeAlias = Send | Superseded | Suppressed | Delayed


class Enrollment(msgspec.Struct, frozen=True):
    """An enrolment as it stands. Every generation up to `exited_generation` is over."""

    enrollment_id: int
    org_id: str
    sequence: str
    recipient: str
    state: str
    generation: int
    exited_generation: int
    variables: str
    reason: str | None


class Cause(msgspec.Struct, frozen=True):
    """The firing that decided, and its change. `captured_at` is Unix ms."""

    rule: str | None
    rule_version: int | None
    object: str | None
    record_id: str | None
    capture_id: str | None
    captured_at: int | None


class Treatment(msgspec.Struct, frozen=True):
    """How the row's sequence is treated. `time_zone` is the org's."""

    target_id: str | None = None
    daily_cap: int | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    quiet_time_zone: str = "UTC"
    time_zone: str = "UTC"
    enrich: bool = False
    allow_missing_variables: bool = False


class Claim(msgspec.Struct, frozen=True):
    """One outbox row under a lease. `attempt` counts from 1.

    `was_unanswered`: an earlier attempt may have been acted on. `was_added`, of an exit: the target
    may have the recipient, by this generation's add or an earlier one's; `is_followed`: it was told
    of a later one already. `payload` is a call's.
    """

    outbox_id: int
    attempt: int
    was_unanswered: bool
    kind: RowKind
    target: str
    org_id: str
    sequence: str | None
    recipient: str
    generation: int
    idempotency_key: str
    created_at_s: float
    enrollment: Enrollment | None
    cause: Cause
    treatment: Treatment
    payload: str | None = None
    was_added: bool = False
    is_followed: bool = False
    verdict: Verdict = Send()

    @property
    def object(self) -> str:
        """What the record is that decided; `none` for what an operator did."""
        return self.cause.object or metrics.NO_OBJECT

    @property
    def is_superseded(self) -> bool:
        """Whether it needs no telling any more."""
        return isinstance(self.verdict, Superseded)
