"""What comes of asking rules about a change: matches, and what is still missing to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from rules.model import Operator, ReEnroll

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Operand
else:
    # msgspec cannot tell text from Decimal in a union; so that evidence can be decoded again,
    # values are to it whatever the JSON holds.
    Value: TypeAlias = Any
    Operand: TypeAlias = Any


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One condition that decided: the field's values and the verdict on them.

    `verdict` is false for a condition whose failing made a `not` true. Numbers keep their digits
    in JSON with `msgspec.json.Encoder(decimal_format="number")` and
    `msgspec.json.Decoder(…, float_hook=Decimal)`. `field` is spelled as the rule spells it.
    For a path, `parent_id` is the record that it ended in, and `parent_captured_at` (Unix ms) the
    version of it that was read; both are None where the path ended early.
    """

    field: str
    operator: Operator
    operand: Operand
    old: Value
    new: Value
    verdict: bool
    parent_id: str | None = None
    parent_captured_at: int | None = None


class Enroll(msgspec.Struct, frozen=True):
    """Add `recipient` to `sequence`.

    `recipient` is an address in lower case, or None when the field held no plausible one.
    `variables` maps the sequence's variable names to the record's values.
    """

    sequence: str
    recipient: str | None
    variables: dict[str, Value]
    re_enroll: ReEnroll


class Exit(msgspec.Struct, frozen=True):
    """End the enrolment of `recipient` in `sequence`; None as for `Enroll`."""

    sequence: str
    recipient: str | None


class Call(msgspec.Struct, frozen=True):
    """Tell `url` that the rule fired, with `fields`, whose names the rule chose."""

    url: str
    fields: dict[str, Value]


Effect: TypeAlias = Enroll | Exit | Call


class Match(msgspec.Struct, frozen=True):
    """A rule matched a change. Without conditions there is no evidence.

    `ceiling`: enrolments an hour beyond which the rule's further ones are held.
    """

    rule: str
    version: int
    evidence: tuple[Evidence, ...]
    actions: tuple[Effect, ...]
    ceiling: int


class Waiting(NamedTuple):
    """A rule that cannot be decided before one of `parents` (18-character ids) is synced."""

    rule: str
    version: int
    parents: frozenset[str]


class Verdicts(NamedTuple):
    """What all rules of an org make of one change.

    `unread`: ids of records to look up before the rest can be decided; ask again with them. While
    it is not empty, `matches` and `waiting` are those of the rules that need none of them.
    `too_old`: names of rules that passed over the change for its age.
    """

    matches: tuple[Match, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    unread: frozenset[str] = frozenset()
    too_old: tuple[str, ...] = ()


class Traced(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition or a group of a rule, with its verdict; None: not decided for want of a parent.

    `kind` is `condition`, `all`, `any` or `not`; a condition has its evidence, a group its clauses.
    """

    kind: Literal["condition", "all", "any", "not"]
    verdict: bool | None
    evidence: Evidence | None = None
    clauses: tuple[Traced, ...] = ()


class Judged(NamedTuple):
    """What one rule makes of a change: a match, or what is missing to decide, or neither."""

    match: Match | None = None
    unread: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
