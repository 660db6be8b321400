"""Conditions with what they saw: as a firing kept them, or as they come out when asked again."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Raw

from pipeline.json_text import decode_fields, encode_masked, unmask
from rules import Evidence, explain

if TYPE_CHECKING:
    from rules import Traced


class Condition(msgspec.Struct, frozen=True):
    """One condition that decided, in words and with its values.

    `negated` is true of a condition under a `not`, which made the rule true by not holding.
    """

    reads: str
    negated: bool
    evidence: Raw


class Clause(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition or a group of a rule, with the verdict on it; None: not decided.

    `reads` and `evidence` are a condition's, `clauses` a group's.
    """

    kind: Literal["condition", "all", "any", "not"]
    verdict: bool | None
    reads: str | None = None
    evidence: Raw | None = None
    clauses: list[Clause] = []


def kept_conditions(evidence: str) -> list[Condition]:
    """Return the conditions that a firing kept."""
    return [_condition(bytes(text)) for text in msgspec.json.decode(evidence, type=list[Raw])]


def _condition(text: bytes) -> Condition:
    evidence = msgspec.convert(decode_fields(text), Evidence)
    return Condition(
        reads=explain(evidence), negated=not evidence.verdict, evidence=Raw(unmask(text))
    )


def clause(traced: Traced) -> Clause:
    """Return what a trace tells, in words."""
    evidence = traced.evidence
    return Clause(
        kind=traced.kind,
        verdict=traced.verdict,
        reads=None if evidence is None else explain(evidence),
        evidence=None if evidence is None else raw(evidence),
        clauses=[clause(inner) for inner in traced.clauses],
    )


def raw(value: object) -> Raw:
    """Return values of records as JSON, every character and digit kept."""
    builtins = msgspec.to_builtins(value, builtin_types=(Decimal,))
    return Raw(unmask(encode_masked(builtins).encode()))
