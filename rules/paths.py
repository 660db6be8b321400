"""Fields, and paths to fields through lookups: `Status`, `Owner.Manager.Email`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
# A custom field, and one of a person account that is a contact's.
_CUSTOM_RELATIONSHIPS: Final = {"__r": "__c", "__pr": "__pc"}
# Source: Salesforce, "Object Reference": the key prefixes of the standard objects.
_PREFIXES: Final[Mapping[str, SObject]] = {
    "001": SObject.ACCOUNT,
    "003": SObject.CONTACT,
    "005": SObject.USER,
    "006": SObject.OPPORTUNITY,
    "00Q": SObject.LEAD,
    "00T": SObject.TASK,
    "00U": SObject.EVENT,
}
_PREFIX_LENGTH: Final = 3
_EVERY: Final = frozenset(SObject)
_PARENTS: Final[Mapping[str, frozenset[SObject]]] = {
    "accountid": frozenset({SObject.ACCOUNT}),
    "parentid": frozenset({SObject.ACCOUNT}),
    "convertedaccountid": frozenset({SObject.ACCOUNT}),
    "contactid": frozenset({SObject.CONTACT}),
    "reportstoid": frozenset({SObject.CONTACT}),
    "convertedcontactid": frozenset({SObject.CONTACT}),
    "personcontactid": frozenset({SObject.CONTACT}),
    "convertedopportunityid": frozenset({SObject.OPPORTUNITY}),
    "ownerid": frozenset({SObject.USER}),
    "managerid": frozenset({SObject.USER}),
    "createdbyid": frozenset({SObject.USER}),
    "lastmodifiedbyid": frozenset({SObject.USER}),
    "whoid": frozenset({SObject.CONTACT, SObject.LEAD}),
    "whatid": frozenset({SObject.ACCOUNT, SObject.OPPORTUNITY}),
}


class Path(NamedTuple):
    """`field` of the record that following `references` in turn leads to.

    Without references it is a field of the record itself.
    """

    references: tuple[str, ...]
    field: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the path that a rule spells; steps are relationships or their reference fields."""
        *steps, field = text.split(".")
        return cls(tuple(map(reference_of, steps)), field)


class Climb(NamedTuple):
    """A path through lookups that active rules of `child` read."""

    child: SObject
    references: tuple[str, ...]
    field: str

    def step(self, depth: int) -> str:
        """Return the field that is read on the record `depth` lookups up, from 0."""
        return self.references[depth] if depth < len(self.references) else self.field

    def objects(self, depth: int) -> frozenset[SObject]:
        """Return the objects that the record `depth` lookups up may be of, from 0."""
        found = frozenset({self.child})
        for reference in self.references[:depth]:
            found = frozenset(
                parent for sobject in found for parent in parent_objects(sobject, reference)
            )
        return found


def is_path(text: str) -> bool:
    """Tell whether `text` has the form of a field's API name or of a path to one."""
    return _PATH.fullmatch(text) is not None


def reference_of(step: str) -> str:
    """Return the reference field behind a relationship's name; a reference field stays itself."""
    lowered = step.lower()
    for relationship, reference in _CUSTOM_RELATIONSHIPS.items():
        if lowered.endswith(relationship):
            return step[: -len(relationship)] + reference
    return step if lowered.endswith(("id", "__c", "__pc")) else step + "Id"


def parent_objects(sobject: SObject, reference: str) -> frozenset[SObject]:
    """Return the synced objects that a reference field of `sobject` may name.

    A field that an admin made may name any of them.
    """
    if reference.lower() == "masterrecordid":
        return frozenset({sobject})
    return _PARENTS.get(reference.lower(), _EVERY)


def object_of(record_id: str) -> SObject | None:
    """Return the object of a record by its id's prefix; None if it is one that is not synced."""
    return _PREFIXES.get(record_id[:_PREFIX_LENGTH])


def key_prefix(sobject: SObject) -> str:
    """Return what the ids of an object's records begin with."""
    return next(prefix for prefix, known in _PREFIXES.items() if known is sobject)
