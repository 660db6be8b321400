"""The records that lookups lead to, as they stand today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.json_text import decode_fields
from rules import Parent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.change import Fields
    from pipeline.database import Connection
    from rules import Path

# Of each parent no more is kept than the fields that rules read.
_MAX_KEPT_COUNT: Final = 100_000

_READ: Final = """
    SELECT record_id, deleted, captured_at, fields FROM record
    WHERE org_id = $1 AND record_id = ANY($2::text[])"""


class Parents:
    """Looks parents up, many at a time. `known` is what rules are asked with."""

    def __init__(self, org_id: str, paths: Iterable[Path]) -> None:
        self._org_id = org_id
        self._names = {
            name.lower() for path in paths for name in (*path.references[1:], path.field)
        }
        self._known: dict[str, Parent] = {}

    @property
    def known(self) -> Mapping[str, Parent]:
        """The records looked up so far; it grows with each look-up."""
        return self._known

    async def look_up(self, connection: Connection, record_ids: Collection[str]) -> None:
        """Look records up; those that are not there are not synced yet."""
        rows = await connection.fetch(_READ, self._org_id, sorted(record_ids))
        self._known.update(dict.fromkeys(record_ids, Parent(None)))
        for row in rows:
            fields = {} if row["deleted"] else self._read(row["fields"].encode())
            self._known[row["record_id"]] = Parent(fields, row["captured_at"])

    def forget_many(self) -> None:
        """Forget all, if they are too many to be kept."""
        if len(self._known) > _MAX_KEPT_COUNT:
            self._known.clear()

    def _read(self, text: bytes) -> Fields:
        return {
            name: value
            for name, value in decode_fields(text).items()
            if name.lower() in self._names
        }
