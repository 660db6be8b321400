"""The conditions that Salesforce is told: fields whose update is worth a callout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.objects import SObject
from rules.paths import Climb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rules.compile import CompiledRule

    # Whether an object has a field; None where nothing is known.
    Knows: TypeAlias = Callable[[SObject, str], bool | None]

# What tells of a person who is not to be mailed, and of a lead that goes on as a contact: whoever
# enrols somebody has to hear of it, whatever record the rule is about.
_OF_A_RECIPIENT: Final = {
    SObject.LEAD: ("EmailBouncedDate", "HasOptedOutOfEmail", "IsConverted"),
    SObject.CONTACT: ("EmailBouncedDate", "HasOptedOutOfEmail"),
}
# A person account's triggers are those of Account.
_OF_A_PERSON_ACCOUNT: Final = ("PersonEmailBouncedDate", "PersonHasOptedOutOfEmail")


def watched(rules: Iterable[CompiledRule], knows: Knows | None) -> dict[SObject, list[str]]:
    """Return for each object that the rules need the fields to watch; empty means any.

    A path is watched at each of its steps, on the object that it reads there.
    """
    fields: dict[SObject, set[str]] = {}
    unbounded: set[SObject] = set()
    for rule in rules:
        own = fields.setdefault(rule.object, set())
        if rule.reads_any_field:
            unbounded.add(rule.object)
        if rule.enrolls:
            for sobject, names in _OF_A_RECIPIENT.items():
                fields.setdefault(sobject, set()).update(names)
            if any(name.lower().endswith("personemail") for name in rule.reads):
                fields.setdefault(SObject.ACCOUNT, set()).update(_OF_A_PERSON_ACCOUNT)
        own.update(field for field in rule.reads if "." not in field)
        for path in rule.paths:
            climb = Climb(rule.object, path.references, path.field)
            for depth in range(len(path.references) + 1):
                for sobject in climb.objects(depth):
                    if (
                        depth == 0
                        or knows is None
                        or knows(sobject, climb.step(depth)) is not False
                    ):
                        fields.setdefault(sobject, set()).add(climb.step(depth))
    return {
        sobject: [] if sobject in unbounded else sorted(names) for sobject, names in fields.items()
    }
