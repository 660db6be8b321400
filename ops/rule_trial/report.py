"""What a trial found, as it is printed."""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One change of those counted; `reads` says in words what the deciding conditions saw.

    `captured_at` is Unix ms. `recipients` are the addresses that it would have added.
    """

    object: str
    record_id: str
    operation: str
    capture_id: str
    captured_at: int
    recipients: list[str]
    reads: list[str]


class NearMiss(msgspec.Struct, frozen=True):
    """The changes in which every condition of the rule's `when` held but this one."""

    condition: str
    changes: int
    samples: list[Sample]


class PassedOver(msgspec.Struct, frozen=True):
    """Changes that met every condition and count nothing all the same."""

    sync_user: int
    max_age: int


class Addition(msgspec.Struct, frozen=True):
    """Whom a rule would have added to one sequence.

    `people` is how many different addresses. Of these, `already` are or were in the sequence today,
    so that nothing would come of it now; the relay would not have mailed the `suppressed` and the
    `opted_out` (or bounced). `enrolments` counts what is new; with `re_enroll: always` each time.
    """

    sequence: str
    people: int
    already: int
    suppressed: int
    opted_out: int
    enrolments: int


class Removal(msgspec.Struct, frozen=True):
    """Whom a rule would have taken out of one sequence, and how many of them are in it today."""

    sequence: str
    people: int
    enrolled: int


class Calls(msgspec.Struct, frozen=True):
    """How often a rule's own webhook would have been called."""

    url: str
    calls: int


class RuleTrial(msgspec.Struct, frozen=True):
    """What one rule would have done.

    `changes` of the rule's object and operations were looked at, `matched` of them met every
    condition, on so many `records`. `waiting`: the lookup's record was never synced. `no_address`:
    the recipient's field held none. `held`: enrolments beyond the ceiling of their hour.
    `is_cut`: there were more records or people than a trial keeps apart.
    """

    rule: str
    object: str
    operations: list[str]
    changes: int
    matched: int
    records: int
    passed_over: PassedOver
    waiting: int
    no_address: int
    held: int
    ceiling: int
    additions: list[Addition]
    removals: list[Removal]
    calls: list[Calls]
    is_cut: bool
    samples: list[Sample]
    near_misses: list[NearMiss]


class Trial(msgspec.Struct, frozen=True):
    """What rules would have done with the changes captured from `since` until `until` (RFC 3339).

    `changes` were read, of which `unreadable` are no records that rules can read.
    """

    org_id: str
    since: str
    until: str
    changes: int
    unreadable: int
    warnings: list[str]
    rules: list[RuleTrial]


class ReplayTrial(msgspec.Struct, frozen=True):
    """What a replay of an org's changes would do as everything stands today.

    `changes` were looked at, the newest first; not `is_whole` where that took too long.
    """

    org_id: str
    changes: int
    is_whole: bool
    warnings: list[str]
    rules: list[RuleTrial]
