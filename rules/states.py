"""The two states of a record between which a change lies, as conditions read them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, assert_never

from pipeline.objects import Operation

if TYPE_CHECKING:
    from pipeline.change import Change, Fields, Value

_NOTHING: Final[Fields] = MappingProxyType({})


class States:
    """The states before and after one change, made once and read by every rule.

    Before an insert or an undelete every field was null. A deletion changes no field: both
    states are the record's last.
    """

    __slots__ = ("_spellings", "current", "previous")

    def __init__(self, change: Change) -> None:
        self.current: Fields = change.current
        self.previous: Fields = _previous(change)
        self._spellings: dict[str, str] | None = None

    def key(self, field: str) -> str:
        """Return the record's spelling of `field`; `field` itself where it has none.

        The exact spelling wins. Only when neither state has it, names are matched without
        regard to case, as Salesforce does; the first of the current state wins.
        """
        if field in self.current or field in self.previous:
            return field
        if self._spellings is None:
            self._spellings = {}
            for state in (self.current, self.previous):
                for name in state:
                    self._spellings.setdefault(name.lower(), name)
        return self._spellings.get(field.lower(), field)

    def value(self, field: str) -> Value:
        """Return the value of `field` after the change; None where it has none."""
        return self.current.get(self.key(field))


def _previous(change: Change) -> Fields:
    match change.operation:
        case Operation.INSERT | Operation.UNDELETE:
            return _NOTHING
        case Operation.DELETE:
            return change.current
        case Operation.UPDATE:
            return change.old if change.old is not None else _NOTHING
    assert_never(change.operation)
