"""Records that rules look up, read once for a whole batch and forgotten with its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import json_text
from pipeline.errors import PermanentError, Reason
from rules.states import Parent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.change import Fields
    from pipeline.database import Connection

# The limit keeps the planner to the index: an array of a few hundred ids had it read whole tables.
_READ: Final = """
    SELECT found.* FROM unnest($1::text[], $2::text[]) AS wanted (org_id, record_id)
    CROSS JOIN LATERAL (
        SELECT org_id, record_id, captured_at, deleted,
               CASE WHEN NOT deleted THEN fields END AS fields
        FROM record
        WHERE (record.org_id, record.record_id) = (wanted.org_id, wanted.record_id)
        LIMIT 1) AS found"""
_NOT_SYNCED: Final = Parent(None)


class Parents:
    """The records looked up so far, of each org, as they are committed or were just written."""

    def __init__(self) -> None:
        self._by_org: dict[str, dict[str, Parent]] = {}

    def of(self, org_id: str) -> dict[str, Parent]:
        """Return what is known of an org's records, by id."""
        return self._by_org.setdefault(org_id, {})

    async def read(self, connection: Connection, wanted: Iterable[tuple[str, str]]) -> None:
        """Look up (org, record) pairs, in one statement; one that is not synced counts as known.

        Raises:
            PermanentError: a stored record cannot be decoded.
        """
        pairs = sorted(wanted)
        for org_id, record_id in pairs:
            self._by_org.setdefault(org_id, {})[record_id] = _NOT_SYNCED
        for row in await connection.fetch(
            _READ, [org_id for org_id, _ in pairs], [record_id for _, record_id in pairs]
        ):
            fields = {} if row["deleted"] else decode_stored(row["fields"].encode())
            self._by_org[row["org_id"]][row["record_id"]] = Parent(fields, row["captured_at"])


def decode_stored(text: bytes) -> Fields:
    """Decode a record as the table `record` holds it.

    Raises:
        PermanentError: it cannot be read.
    """
    try:
        return json_text.decode_fields(text)
    except (ValueError, RecursionError) as error:
        raise PermanentError(
            Reason.INVALID_RECORD, f"a stored record cannot be read: {error}"
        ) from error
