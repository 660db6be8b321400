"""What comes of a rule that matched a change: why it did, and what is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

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


class Evidence(msgspec.Struct, frozen=True):
    """One condition that decided: the field's values and the verdict on them.

    `verdict` is false for a condition whose failing made a `not` true. Numbers keep their digits
    in JSON with `msgspec.json.Encoder(decimal_format="number")` and
    `msgspec.json.Decoder(…, float_hook=Decimal)`. `field` is spelled as the rule spells it.
    """

    field: str
    operator: Operator
    operand: Operand
    old: Value
    new: Value
    verdict: bool


class Enroll(msgspec.Struct, frozen=True):
    """Add `recipient` to `sequence`.

    `recipient` is an address in lower case, or None when the field held no plausible one.
    `variables` maps the sequence's variable names to the record's values.
    """

    sequence: str
    recipient: str | None
    variables: dict[str, Value]
    re_enroll: ReEnroll


class Match(msgspec.Struct, frozen=True):
    """A rule matched a change. Without conditions there is no evidence."""

    rule: str
    version: int
    evidence: tuple[Evidence, ...]
    actions: tuple[Enroll, ...]
