"""A rule as its author means it: the closed vocabulary of the language, checked and typed.

`rules.parse` makes these from YAML, `rules.schema` describes the YAML as JSON Schema, and
`rules.compile` turns them into something that runs.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec

from pipeline.objects import Operation, SObject

# A value in a rule, and what stands after an operator: one value, or several for a list.
Scalar: TypeAlias = str | int | Decimal | bool
Operand: TypeAlias = Scalar | tuple[Scalar, ...]


class Operator(StrEnum):
    """What a condition asks of a field; meanings are in `rules.operators`."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    IN = "in"
    NOT_IN = "not_in"
    IS_SET = "is_set"
    IS_EMPTY = "is_empty"
    GREATER_THAN = "greater_than"
    AT_LEAST = "at_least"
    LESS_THAN = "less_than"
    AT_MOST = "at_most"
    CHANGED = "changed"
    CHANGED_FROM = "changed_from"
    CHANGED_TO = "changed_to"


# The names that sequences have in any product; an index row has room for far more.
MAX_SEQUENCE_CHARACTERS: Final = 255


class ReEnroll(StrEnum):
    """Whether a recipient who has been in a sequence may be added to it again."""

    NEVER = "never"
    AFTER_EXIT = "after_exit"
    ALWAYS = "always"


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{field: Status, changed_to: Qualified}`: one question about one field."""

    field: str
    operator: Operator
    operand: Operand


class AllOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`all: […]`: every clause holds."""

    clauses: Annotated[tuple[Clause, ...], msgspec.Meta(min_length=1)] = msgspec.field(name="all")


class AnyOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`any: […]`: at least one clause holds."""

    clauses: Annotated[tuple[Clause, ...], msgspec.Meta(min_length=1)] = msgspec.field(name="any")


class Not(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`not: …`: the clause does not hold."""

    clause: Clause = msgspec.field(name="not")


class AddToSequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`add_to_sequence: …`: enrol the address in the field `recipient`.

    `variables` maps the sequence's variable names to fields of the record.
    """

    sequence: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SEQUENCE_CHARACTERS)] = (
        msgspec.field(name="add_to_sequence")
    )
    recipient: str
    variables: dict[str, str] = {}
    re_enroll: ReEnroll = ReEnroll.NEVER


if TYPE_CHECKING:
    Clause: TypeAlias = Condition | AllOf | AnyOf | Not
    Action: TypeAlias = AddToSequence
else:
    # msgspec tells the structs of a union apart by a tag, while the YAML tells them apart by
    # their keys; so to msgspec a member of a union is named, and `rules.schema` defines it.
    def _one_of(*members: type) -> object:
        references = [{"$ref": f"#/$defs/{member.__name__}"} for member in members]
        return Annotated[Any, msgspec.Meta(extra_json_schema={"anyOf": references})]

    Clause = _one_of(Condition, AllOf, AnyOf, Not)
    Action = _one_of(AddToSequence)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document: when a change of `object` meets every clause of `when`, do all of `then`.

    With no clause every change of the named operations matches. Changes that the Sync User
    made are passed over unless `include_sync_user`.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=100)] = (
        msgspec.field(name="rule")
    )
    object: SObject
    operations: Annotated[frozenset[Operation], msgspec.Meta(min_length=1)] = msgspec.field(
        name="on"
    )
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1)] = msgspec.field(name="then")
    clauses: tuple[Clause, ...] = msgspec.field(name="when", default=())
    include_sync_user: bool = False
