"""A DML statement: limits, chunks of 200, all or none, and what a partial save repeats.

Source: Apex Developer Guide, apex_dml_bulk_exceptions, langCon_apex_dml_limitations,
apex_dml_non_mix_sobjects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org import deleting, library_values, saving
from tests.apex_runtime.org.schema import Kind
from tests.apex_runtime.org.triggers import Entry
from tests.apex_runtime.org.upserting import split_upsert
from tests.apex_runtime.values import Id, SObject, throw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.apex_runtime.org.field_values import Error
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.transaction import Transaction

CHUNK_RECORDS: Final = 200
_ATTEMPTS: Final = 3
_TOO_MANY_RETRIES: Final = (
    "TOO_MANY_APEX_RETRIES",
    "Too many batch retries in the presence of Apex triggers and partial failures.",
)
_MIXED: Final = (
    "DML operation on setup object is not permitted after you have updated a non-setup object "
    "(or vice versa): {kind}, original object: {first}"
)
# Changing one of these makes an update of a User a setup operation.
_SETUP_FIELDS: Final = (
    "UserRoleId",
    "IsActive",
    "ForecastEnabled",
    "IsPortalEnabled",
    "Username",
    "ProfileId",
)


@dataclass
class Outcome:
    """What became of one record (`platform.SaveResult`); `created` tells an upsert's two cases."""

    success: bool
    record_id: Id | None
    errors: list[Error] = field(default_factory=list)
    created: bool = False


class Attempt(Protocol):
    """Runs one chunk; where it is all or none, up to the first step that refuses a record."""

    def __call__(
        self, tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
    ) -> None:
        """Add to each record's errors what refuses it."""


# Each DML operation on a chunk; upsert is split in two of them.
_ATTEMPT_OF: Final[dict[str, Attempt]] = {
    "insert": saving.insert,
    "update": saving.update,
    "delete": deleting.delete,
    "undelete": deleting.undelete,
}


class Dml:
    """The DML statements of one transaction, and which kinds of objects it has written so far."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.wrote_setup: str | None = None
        self.wrote_other: str | None = None

    def run(
        self,
        operation: str,
        records: Sequence[SObject],
        *,
        all_or_none: bool,
        external_id: str | None = None,
    ) -> list[Outcome]:
        """Run a statement; see `platform.Platform.dml`."""
        if not records:
            return []
        self._tx.limits.spend("DmlStatements")
        self._tx.limits.spend("DmlRows", len(records))
        self._tx.uncommitted = True
        if operation == "merge":
            return self._merge(records)
        entries = [self._entry(index, record) for index, record in enumerate(records)]
        if operation == "upsert":
            groups = split_upsert(self._tx, entries, external_id)
        elif operation in _ATTEMPT_OF:
            groups = [(operation, entries)]
        else:
            raise NotModelled(f"DML operation {operation}")
        for name, group in groups:
            _refuse_duplicates(name, group)
        mark = self._tx.mark()
        for name, group in groups:
            for kind, chunk in _chunks(self._tx, group):
                if not self._run_chunk(name, kind, chunk, all_or_none=all_or_none):
                    self._tx.undo(mark)
                    _refuse(operation, entries)
        inserted = {id(e) for name, group in groups if name == "insert" for e in group}
        return [self._outcome(entry, created=id(entry) in inserted) for entry in entries]

    def _merge(self, records: Sequence[SObject]) -> list[Outcome]:
        """Merge losers into the first record, all or none."""
        mark = self._tx.mark()
        kind = self._tx.org.catalog[records[0].type_name]
        self._mixing("merge", kind, [])
        entries = deleting.merge(self._tx, records)
        if any(entry.errors for entry in entries):
            self._tx.undo(mark)
            _refuse("merge", entries)
        return [self._outcome(entry, created=False) for entry in entries]

    @staticmethod
    def _entry(index: int, record: SObject) -> Entry:
        """Return the record with its id, where it has one."""
        given = record.fields.get("Id")
        return Entry(index, record, record, record_id=None if given is None else Id(str(given)))

    @staticmethod
    def _outcome(entry: Entry, *, created: bool) -> Outcome:
        """Tell what became of a record; an inserted one learns its id now."""
        if entry.errors:
            return Outcome(success=False, record_id=None, errors=entry.errors)
        if created:
            entry.given.fields["Id"] = entry.record_id
        return Outcome(success=True, record_id=entry.record_id, created=created)

    def _run_chunk(
        self, operation: str, kind: ObjectType, chunk: Sequence[Entry], *, all_or_none: bool
    ) -> bool:
        """Save one chunk; return whether the statement may go on.

        Of a partial save the rows that were not refused are saved again from the start, triggers
        included, with the limits as before and what the first attempt wrote, queued and published
        undone. Statics stay.
        """
        self._mixing(operation, kind, chunk)
        live = [entry for entry in chunk if not entry.errors]
        if not live:
            return not all_or_none
        mark, limits = self._tx.mark(), self._tx.limits.snapshot()
        for _ in range(_ATTEMPTS):
            _ATTEMPT_OF[operation](self._tx, kind, live, all_or_none=all_or_none)
            refused = any(entry.errors for entry in chunk)
            if all_or_none or not any(entry.errors for entry in live):
                return not (all_or_none and refused)
            self._tx.undo(mark)
            self._tx.limits.restore(limits)
            live = [entry for entry in live if not entry.errors]
            if not live:
                return True
        for entry in live:
            entry.errors.append(_TOO_MANY_RETRIES)
        return True

    def _mixing(self, operation: str, kind: ObjectType, chunk: Sequence[Entry]) -> None:
        """Refuse setup and other objects in one transaction."""
        is_setup = kind.kind is Kind.SETUP
        if is_setup and not _is_setup_change(self._tx, operation, kind, chunk):
            return
        first = self.wrote_other if is_setup else self.wrote_setup
        if first is not None:
            message = _MIXED.format(kind=kind.name, first=first)
            for entry in chunk:
                entry.errors.append(("MIXED_DML_OPERATION", message))
        elif is_setup:
            self.wrote_setup = self.wrote_setup or kind.name
        else:
            self.wrote_other = self.wrote_other or kind.name


def _is_setup_change(
    tx: Transaction, operation: str, kind: ObjectType, chunk: Sequence[Entry]
) -> bool:
    """Tell whether a write to a setup object may not be mixed with others."""
    if operation != "update" or kind.name != "User":
        return True
    for entry in chunk:
        before = tx.org.store.get(kind.name, str(entry.record_id)) or {}
        given = entry.given.fields
        if any(name in given and given[name] != before.get(name) for name in _SETUP_FIELDS):
            return True
    return False


def _chunks(
    tx: Transaction, entries: Sequence[Entry]
) -> Iterator[tuple[ObjectType, Sequence[Entry]]]:
    """Split records into runs of one type, and those into chunks."""
    for type_name, run in groupby(entries, key=lambda entry: entry.given.type_name):
        same = list(run)
        for start in range(0, len(same), CHUNK_RECORDS):
            yield tx.org.catalog[type_name], same[start : start + CHUNK_RECORDS]


def _refuse_duplicates(operation: str, entries: Sequence[Entry]) -> None:
    """Refuse a list that holds a record twice: by its id, a new one by its identity."""
    if operation == "insert":
        if len({id(entry.given) for entry in entries}) < len(entries):
            throw("ListException", "Before Insert or Upsert list must not have two equal elements")
        return
    seen = set()
    for entry in entries:
        if entry.record_id is not None and entry.record_id in seen:
            throw("ListException", f"Duplicate id in list: {entry.record_id}")
        seen.add(entry.record_id)


def _refuse(operation: str, entries: Sequence[Entry]) -> NoReturn:
    """Throw the DmlException of a statement that was all or none."""
    failed = [entry for entry in entries if entry.errors]
    status, message = failed[0].errors[0]
    first = f"first error: {status}, {message}"
    known = failed[0].given.fields.get("Id")
    which = f"with id {known!s}; " if known else ""
    throw(
        "DmlException",
        f"{operation.capitalize()} failed. First exception on row {failed[0].index} {which}{first}",
        rows=library_values.dml_rows(failed),
    )
