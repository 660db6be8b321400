"""The org's rows: one table a type, ids by key prefix, an undo journal for what rolls back."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.values import Id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.apex_runtime.values import Value

    # A stored record: API name to value, nulls absent. A row is replaced, never changed.
    Row = Mapping[str, Value]

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_INSTANCE: Final = "5g0"
_NUMBER_DIGITS: Final = 9


class Store:
    """Tables of rows by id, in order of insertion.

    Every write is journaled: `mark()` tells how far the journal is, `rollback(mark)` undoes what
    came after. Ids are not given twice, also after a rollback.
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Row]] = {}
        self._journal: list[tuple[str, str, Row | None]] = []
        self._numbers: dict[str, int] = {}
        self._ordered: dict[str, list[str]] = {}
        # What a deleted record took along, for undelete: id to the children's (type, id).
        self.taken_along: dict[str, list[tuple[str, str]]] = {}

    def new_id(self, prefix: str) -> Id:
        """Return an id that no record had: `00Q5g0` and nine digits, extended to 18 characters."""
        return Id(prefix + _INSTANCE + _base62(self.next_number(prefix)))

    def next_number(self, sequence: str) -> int:
        """Return the next number of a sequence, from 1."""
        self._numbers[sequence] = self._numbers.get(sequence, 0) + 1
        return self._numbers[sequence]

    def get(self, type_name: str, record_id: str) -> Row | None:
        """Return a row, deleted ones too."""
        return self._tables.get(type_name, {}).get(record_id)

    def put(self, type_name: str, record_id: str, row: Row) -> None:
        """Insert or replace a row."""
        table = self._tables.setdefault(type_name, {})
        if record_id not in table:
            self._ordered.pop(type_name, None)
        self._journal.append((type_name, record_id, table.get(record_id)))
        table[record_id] = row

    def remove(self, type_name: str, record_id: str) -> None:
        """Remove a row for good: what has no recycle bin."""
        self._ordered.pop(type_name, None)
        self._journal.append((type_name, record_id, self._tables[type_name].pop(record_id)))

    def rows(self, type_name: str, *, deleted: bool = False) -> Iterator[Row]:
        """Return a type's live rows, with `deleted` those in the recycle bin as well."""
        for row in list(self._tables.get(type_name, {}).values()):
            if deleted or not row.get("IsDeleted"):
                yield row

    def following(self, type_name: str, after: str) -> Iterator[Row]:
        """Yield all rows of a type with greater ids, in their order."""
        table = self._tables.get(type_name, {})
        ids = self._ordered.get(type_name)
        if ids is None:
            ids = self._ordered[type_name] = sorted(table, key=str.__str__)
        for place in range(bisect_right(ids, after), len(ids)):
            yield table[ids[place]]

    def mark(self) -> int:
        """Return where the journal is now."""
        return len(self._journal)

    def rollback(self, mark: int) -> None:
        """Undo every write since the mark."""
        while len(self._journal) > mark:
            type_name, record_id, before = self._journal.pop()
            self._ordered.pop(type_name, None)
            if before is None:
                del self._tables[type_name][record_id]
            else:
                self._tables[type_name][record_id] = before

    def commit(self) -> None:
        """Forget how to undo what was written."""
        self._journal.clear()

    def copy(self) -> Store:
        """Return a store with the same rows that changes apart from this one."""
        twin = Store()
        twin._tables = {name: dict(table) for name, table in self._tables.items()}
        twin._numbers = dict(self._numbers)
        twin.taken_along = dict(self.taken_along)
        return twin


def _base62(number: int) -> str:
    """Return a number as nine digits of base 62."""
    digits = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits.rjust(_NUMBER_DIGITS, "0")
