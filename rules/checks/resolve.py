"""Where a field or path leads in the org as far as that is known, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rules.checks.catalog import ANY_KIND, FieldType, Kind
from rules.checks.findings import Severity
from rules.mistakes import near_name
from rules.paths import Path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.objects import SObject
    from rules.checks.catalog import Catalog, Field


class Resolved(NamedTuple):
    """What a field or path ends in: what is known of it, as one field of several objects may be.

    `problem` is what is wrong with the path, if anything is; nothing is known of the field then.
    """

    owner: str
    name: str
    fields: tuple[Field, ...] = ()
    is_known_everywhere: bool = False
    problem: tuple[Severity, str] | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        """Return every kind that the field may be of."""
        if not self.is_known_everywhere:
            return ANY_KIND
        return frozenset(kind for field in self.fields for kind in field.kinds)

    @property
    def type_name(self) -> str:
        """Return what the field is, for messages."""
        types = sorted({field.type.value for field in self.fields if field.type is not None})
        if types:
            return f"is of type {' or '.join(types)}"
        return "has held " + _kind_name(self.kinds) + " so far"

    @property
    def is_calculated(self) -> bool:
        """Tell whether the field is a formula or a roll-up summary."""
        return any(field.calculated for field in self.fields)

    @property
    def is_no_address(self) -> bool:
        """Tell whether the field is known to be of a type that is not meant for addresses."""
        if not self.is_known_everywhere:
            return False
        if all(field.type is not None for field in self.fields):
            return all(field.type is not FieldType.EMAIL for field in self.fields)
        return Kind.TEXT not in self.kinds


def resolve(catalog: Catalog, sobject: SObject, text: str) -> Resolved:
    """Follow a field or path from `sobject`."""
    path = Path.parse(text)
    objects = frozenset({sobject})
    steps = text.split(".")
    for step, reference in zip(steps, path.references, strict=False):
        owner = _named(objects)
        found = _look_up(catalog, objects, reference, f"lookup '{step}'", relationships=True)
        if found.problem is not None:
            return found
        if Kind.ID not in found.kinds:
            problem = (Severity.ERROR, f"'{step}' of {owner} is no lookup: it {found.type_name}")
            return found._replace(problem=problem)
        objects = frozenset(
            parent
            for child in objects
            if catalog.knows(child, reference) is not False
            for parent in catalog.parents(child, reference)
        )
        if not objects:
            targets = sorted({name for field in found.fields for name in field.refers_to})
            message = (
                f"'{step}' of {owner} leads to {' or '.join(targets)}, whose records Penstock"
                " does not carry"
            )
            return found._replace(problem=(Severity.ERROR, message))
    return _look_up(catalog, objects, path.field, f"field '{path.field}'", relationships=False)


def _look_up(
    catalog: Catalog,
    objects: Collection[SObject],
    name: str,
    wanted: str,
    *,
    relationships: bool,
) -> Resolved:
    found = {sobject: catalog.field(sobject, name) for sobject in objects}
    fields = tuple(field for field in found.values() if field is not None)
    everywhere = all(
        found[sobject] is not None or catalog.of(sobject).described for sobject in objects
    )
    resolved = Resolved(_named(objects), name, fields, is_known_everywhere=everywhere)
    if fields or not all(catalog.of(sobject) for sobject in objects):
        return resolved
    known = [field for sobject in objects for field in catalog.of(sobject).fields]
    near = near_name(
        wanted.split("'")[1], _relationships(known) if relationships else _names(known)
    )
    if everywhere:
        return resolved._replace(
            problem=(Severity.ERROR, f"{resolved.owner} has no {wanted}{near}")
        )
    message = (
        f"no record of {resolved.owner} has had the {wanted} so far{near or ';'} a field that is"
        " always empty is never sent, so `penstock org describe` tells for certain"
    )
    return resolved._replace(problem=(Severity.WARNING, message))


def _names(fields: Iterable[Field]) -> list[str]:
    return sorted({field.name for field in fields})


def _relationships(fields: Iterable[Field]) -> list[str]:
    named = {field.relationship for field in fields if field.relationship is not None}
    learnt = {field.name for field in fields if field.type is None and Kind.ID in field.kinds}
    return sorted(named | {name.removesuffix("Id") for name in learnt})


def _named(objects: Iterable[SObject]) -> str:
    return " or ".join(sorted(objects))


def _kind_name(kinds: Collection[Kind]) -> str:
    # Of what a text may be, text says most.
    kind = Kind.TEXT if Kind.TEXT in kinds else min(kinds)
    return {
        Kind.NUMBER: "numbers",
        Kind.BOOLEAN: "true and false",
        Kind.COMPOUND: "compound values",
    }.get(kind, "text")
