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


# In a document, a duration is a number with a unit; `rules.reading` makes seconds of it.
_DURATION_SCHEMA: Final = {
    "type": "string",
    "pattern": "^[1-9][0-9]{0,5} ?(m|h|d|w|minutes?|hours?|days?|weeks?)$",
    "examples": ["90m", "24h", "7d"],
    "default": "24h",
}


class Operator(StrEnum):
    """What a condition asks of a field; meanings are in `rules.operators`."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    MATCHES = "matches"
    INCLUDES = "includes"
    EXCLUDES = "excludes"
    IS_SET = "is_set"
    IS_EMPTY = "is_empty"
    GREATER_THAN = "greater_than"
    AT_LEAST = "at_least"
    LESS_THAN = "less_than"
    AT_MOST = "at_most"
    BETWEEN = "between"
    BEFORE = "before"
    AFTER = "after"
    CHANGED = "changed"
    CHANGED_FROM = "changed_from"
    CHANGED_TO = "changed_to"
    INCREASED = "increased"
    DECREASED = "decreased"


# The operators that compare with the value before the change.
READ_OLD: Final = frozenset(
    {
        Operator.CHANGED,
        Operator.CHANGED_FROM,
        Operator.CHANGED_TO,
        Operator.INCREASED,
        Operator.DECREASED,
    }
)

# The names that sequences have in any product; an index row has room for far more.
MAX_SEQUENCE_CHARACTERS: Final = 255
# As many steps as SOQL lets a query climb from child to parent.
MAX_LOOKUPS: Final = 5
DEFAULT_MAX_AGE_S: Final = 24 * 3600
DEFAULT_CEILING: Final = 1000
MAX_URL_CHARACTERS: Final = 2000


class ReEnroll(StrEnum):
    """Whether a recipient who has been in a sequence may be added to it again."""

    NEVER = "never"
    AFTER_EXIT = "after_exit"
    ALWAYS = "always"


class MissingParent(StrEnum):
    """What a rule makes of a lookup into a record that was not synced yet."""

    # Decide when the parent arrives; not at all once the wait has lasted too long.
    WAIT = "wait"
    # Decide now, as if the parent had no values.
    EMPTY = "empty"


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{field: Status, changed_to: Qualified}`: one question about one field.

    `field` is a field of the record, or a path through lookups (`Account.Industry`).
    """

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


SequenceName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SEQUENCE_CHARACTERS)]


class AddToSequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`add_to_sequence: …`: enrol the address in the field or path `recipient`.

    `variables` maps the sequence's variable names to fields or paths.
    """

    sequence: SequenceName = msgspec.field(name="add_to_sequence")
    recipient: str
    variables: dict[str, str] = {}
    re_enroll: ReEnroll = ReEnroll.NEVER


class RemoveFromSequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`remove_from_sequence: …`: end the enrolment of the address in `recipient`."""

    sequence: SequenceName = msgspec.field(name="remove_from_sequence")
    recipient: str


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`webhook: https://…`: tell a URL that the rule fired, with the values of `fields`.

    `fields` maps names in the request to fields or paths.
    """

    url: Annotated[str, msgspec.Meta(pattern="^https?://", max_length=MAX_URL_CHARACTERS)] = (
        msgspec.field(name="webhook")
    )
    fields: dict[str, str] = {}


if TYPE_CHECKING:
    Clause: TypeAlias = Condition | AllOf | AnyOf | Not
    Action: TypeAlias = AddToSequence | RemoveFromSequence | Webhook
else:
    # msgspec tells the structs of a union apart by a tag, while the YAML tells them apart by
    # their keys; so to msgspec a member of a union is named, and `rules.schema` defines it.
    def _one_of(*members: type) -> object:
        references = [{"$ref": f"#/$defs/{member.__name__}"} for member in members]
        return Annotated[Any, msgspec.Meta(extra_json_schema={"anyOf": references})]

    Clause = _one_of(Condition, AllOf, AnyOf, Not)
    Action = _one_of(AddToSequence, RemoveFromSequence, Webhook)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document: when a change of `object` meets every clause of `when`, do all of `then`.

    With no clause every change of the named operations matches. Changes that the Sync User
    made are passed over unless `include_sync_user`, and changes that reached ingest more than
    `max_age` seconds after they were captured. Beyond `ceiling` enrolments an hour, further ones
    wait until they are released.
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
    max_age: Annotated[int, msgspec.Meta(ge=1, extra_json_schema=_DURATION_SCHEMA)] = (
        DEFAULT_MAX_AGE_S
    )
    ceiling: Annotated[int, msgspec.Meta(ge=1)] = DEFAULT_CEILING
    missing_parent: MissingParent = MissingParent.WAIT


class Target(StrEnum):
    """Where the relay tells of a sequence's enrolments."""

    WEBHOOK = "webhook"
    MIXMAX = "mixmax"


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is sent from one time of day until another, in `time_zone` (default: the org's).

    Times are `HH:MM`; `start` after `end` spans midnight.
    """

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="until")
    time_zone: str | None = None


class Sequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that begins with `sequence:`: how the relay treats one sequence's enrolments.

    A sequence without a document has the defaults. `target_id` is the target's own name of the
    sequence. `daily_cap` counts additions a day in the org's time zone. `enrich` and
    `allow_missing_variables` are passed on to Mixmax.
    """

    name: SequenceName = msgspec.field(name="sequence")
    target: Target = Target.WEBHOOK
    target_id: str | None = None
    daily_cap: Annotated[int, msgspec.Meta(ge=1)] | None = None
    quiet_hours: QuietHours | None = None
    send_to_opted_out: bool = False
    enrich: bool = False
    allow_missing_variables: bool = False
