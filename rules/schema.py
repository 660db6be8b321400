"""The JSON Schema of a document, for editors that check while one types."""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec

from rules.model import (
    AddToSequence,
    AllOf,
    AnyOf,
    Not,
    RemoveFromSequence,
    Rule,
    Sequence,
    Webhook,
)
from rules.operators import OPERATORS, OperandKind
from rules.patterns import MAX_PATTERN_CHARACTERS

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}


def rule_schema() -> dict[str, Any]:
    """Return the schema of one document: a rule, or a sequence.

    Derived from the model, except the condition: there a key names the operator, so its
    properties come from the table of operators.
    """
    models = (Rule, Sequence, AllOf, AnyOf, Not, AddToSequence, RemoveFromSequence, Webhook)
    (rule, sequence, *_), definitions = msgspec.json.schema_components(
        models, ref_template="#/$defs/{name}"
    )
    definitions["Condition"] = _condition()
    is_sequence = {"required": ["sequence"]}
    return {
        "$schema": _DIALECT,
        "title": "Penstock rules",
        "if": is_sequence,
        "then": sequence,
        "else": rule,
        "$defs": definitions,
    }


def _condition() -> dict[str, Any]:
    operators = {name.value: _operand(spec.takes) for name, spec in OPERATORS.items()}
    return {
        "title": "Condition",
        "description": "One field and exactly one operator.",
        "type": "object",
        "properties": {"field": _TEXT, **operators},
        "required": ["field"],
        "minProperties": 2,
        "maxProperties": 2,
        "additionalProperties": False,
    }


def _operand(kind: OperandKind) -> dict[str, Any]:
    number = {"type": "number"}
    scalar = {"anyOf": [_TEXT, number, {"type": "boolean"}]}
    operand: dict[str, Any]
    point = {**_TEXT, "examples": ["2026-05-01", "2026-05-01T12:00:00Z", "today", "7 days ago"]}
    match kind:
        case OperandKind.VALUE:
            operand = scalar
        case OperandKind.ORDERED_VALUE:
            operand = {"anyOf": [point, number]}
        case OperandKind.VALUES:
            operand = {"type": "array", "items": scalar, "minItems": 1}
        case OperandKind.MEMBERS:
            operand = {
                "anyOf": [*scalar["anyOf"], {"type": "array", "items": scalar, "minItems": 1}]
            }
        case OperandKind.TEXT:
            operand = _TEXT
        case OperandKind.PATTERN:
            operand = {**_TEXT, "maxLength": MAX_PATTERN_CHARACTERS}
        case OperandKind.POINT:
            operand = point
        case OperandKind.RANGE:
            end = {"anyOf": [number, point]}
            operand = {"type": "array", "items": end, "minItems": 2, "maxItems": 2}
        case OperandKind.TRUE:
            operand = {"const": True}
        case _:
            assert_never(kind)
    return operand
