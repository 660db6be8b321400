"""The JSON Schema of a rule's document, for editors that check while one types."""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec

from rules.model import AddToSequence, AllOf, AnyOf, Not, Rule
from rules.operators import OPERATORS, OperandKind

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string", "minLength": 1}


def rule_schema() -> dict[str, Any]:
    """Return the schema of one document.

    Derived from the model, except the condition: there a key names the operator, so its
    properties come from the table of operators.
    """
    models = (Rule, AllOf, AnyOf, Not, AddToSequence)
    (root, *_), definitions = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
    definitions["Condition"] = _condition()
    return {"$schema": _DIALECT, **root, "$defs": definitions}


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
    scalar = {"anyOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]}
    match kind:
        case OperandKind.VALUE:
            return scalar
        case OperandKind.ORDERED_VALUE:
            return {"anyOf": [_TEXT, {"type": "number"}]}
        case OperandKind.VALUES:
            return {"type": "array", "items": scalar, "minItems": 1}
        case OperandKind.TRUE:
            return {"const": True}
    assert_never(kind)
