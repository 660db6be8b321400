"""The two states of a record between which a change lies, as conditions read them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from pipeline.objects import Operation, is_salesforce_id, long_id
from rules.paths import object_of
from rules.values import same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.change import Change, Fields, Value
    from rules.moment import Moment
    from rules.paths import Path

_NOTHING: Final[Fields] = MappingProxyType({})


class Parent(NamedTuple):
    """A record that was looked up: its state, and when (Unix ms) that was captured.

    `fields` is None for a record that is not synced yet, and empty for a deleted one.
    """

    fields: Fields | None
    captured_at: int | None = None


NO_PARENTS: Final[Mapping[str, Parent]] = MappingProxyType({})
NO_PREVIOUS: Final[Mapping[str, Fields]] = MappingProxyType({})


class Read(NamedTuple):
    """What a path leads to, before and after the change.

    `unread`: the record that has to be looked up before it is known. `missing`: the one that is
    not synced, which leaves `new` empty. At most one of them is set.
    """

    old: Value = None
    new: Value = None
    parent_id: str | None = None
    parent_captured_at: int | None = None
    unread: str | None = None
    missing: str | None = None


class States:
    """The states before and after one change, made once and read by every rule.

    Before an insert or an undelete every field was null. A deletion changes no field: both
    states are the record's last. Lookups read `parents` as they stand; before the change a
    record in the `previous` given stood as that says.
    """

    __slots__ = (
        "_changed",
        "_folded",
        "_pairs",
        "_parents_before",
        "_read",
        "_spellings",
        "current",
        "moment",
        "parents",
        "previous",
    )

    def __init__(
        self,
        change: Change,
        moment: Moment,
        parents: Mapping[str, Parent] = NO_PARENTS,
        previous: Mapping[str, Fields] = NO_PREVIOUS,
    ) -> None:
        self.current: Fields = change.current
        self.previous: Fields = _previous(change)
        self.moment = moment
        self.parents = parents
        self._parents_before = previous
        self._spellings: dict[str, str] | None = None
        self._changed: dict[str, bool] = {}
        self._folded: dict[str, str | None] = {}
        self._pairs: dict[str, tuple[Value, Value]] = {}
        self._read: dict[tuple[Path, bool], Read] = {}

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

    def pair(self, field: str) -> tuple[Value, Value]:
        """Return the record's own value of `field` before and after the change."""
        pair = self._pairs.get(field)
        if pair is None:
            key = self.key(field)
            pair = self._pairs[field] = (self.previous.get(key), self.current.get(key))
        return pair

    def has_changed(self, field: str) -> bool:
        """Tell whether the change gave the record's own `field` another value."""
        changed = self._changed.get(field)
        if changed is None:
            changed = self._changed[field] = not same(*self.pair(field))
        return changed

    def folded(self, field: str) -> str | None:
        """Return the record's own `field` after the change, case folded; None if it is no text."""
        try:
            return self._folded[field]
        except KeyError:
            new = self.pair(field)[1]
            folded = self._folded[field] = new.casefold() if isinstance(new, str) else None
            return folded

    def read(self, path: Path, *, with_old: bool) -> Read:
        """Return what `path` leads to; `old` stays empty unless it is asked for.

        A record that is not synced never stands in the way of `old`: it is empty there.
        """
        found = self._read.get((path, with_old))
        if found is None:
            found = self._read[path, with_old] = self._follow(path, with_old=with_old)
        return found

    def _follow(self, path: Path, *, with_old: bool) -> Read:
        before, after = self.pair(path.references[0] if path.references else path.field)
        if not path.references:
            return Read(before, after)
        new = self._climb(path, after, NO_PREVIOUS)
        if not with_old or new.unread is not None:
            return new
        old = self._climb(path, before, self._parents_before)
        if old.unread is not None:
            return Read(unread=old.unread)
        return new._replace(old=old.new)

    def _climb(self, path: Path, reference: Value, overlay: Mapping[str, Fields]) -> Read:
        """Follow the path's references from the first one's value; what it leads to is `new`."""
        value = reference
        read = Read()
        for field in (*path.references[1:], path.field):
            record_id = _synced_id(value)
            if record_id is None:
                return Read()
            parent = self.parents.get(record_id)
            if parent is None:
                return Read(unread=record_id)
            fields = overlay.get(record_id, parent.fields)
            if fields is None:
                return Read(missing=record_id)
            value = _value(fields, field)
            read = Read(None, value, record_id, parent.captured_at)
        return read


def _synced_id(value: Value) -> str | None:
    """Return the 18-character id in a reference field, if it is of an object that is synced."""
    if not isinstance(value, str) or not is_salesforce_id(value):
        return None
    record_id = long_id(value)
    return record_id if object_of(record_id) is not None else None


def _value(fields: Fields, field: str) -> Value:
    if field in fields:
        return fields[field]
    lowered = field.lower()
    return next((value for name, value in fields.items() if name.lower() == lowered), None)


def _previous(change: Change) -> Fields:
    match change.operation:
        case Operation.INSERT | Operation.UNDELETE:
            return _NOTHING
        case Operation.DELETE | Operation.SNAPSHOT:
            return change.current
        case Operation.UPDATE:
            return change.old if change.old is not None else _NOTHING
    assert_never(change.operation)
