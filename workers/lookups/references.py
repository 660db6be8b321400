"""Who refers to whom: written with the change of the record that refers, read by sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.objects import Operation, is_salesforce_id, long_id
from workers.lookups.climbs import lowered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.change import Value
    from pipeline.database import Connection
    from workers.lookups.evaluation import Judged
    from workers.rule_book import RuleBook

    # (org, parent, object of the child, reference field, child).
    Reference = tuple[str, str, str, str, str]

_INSERT: Final = """
    INSERT INTO reference (org_id, parent_id, child_object, field, child_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    ON CONFLICT DO NOTHING"""


def referred(value: Value) -> str | None:
    """Return the 18-character id in a reference field, if there is one."""
    return long_id(value) if isinstance(value, str) and is_salesforce_id(value) else None


async def keep_references(connection: Connection, book: RuleBook, judged: Iterable[Judged]) -> None:
    """Write the references that rules climb, of the records as the changes leave them.

    What did not change is written too if it is not there: the change may be the first that is
    known of its record.
    """
    found: set[Reference] = set()
    for one in judged:
        received = one.case.change
        rules = book.of(received.org_id)
        if rules is None or received.operation is Operation.DELETE:
            continue
        wanted = rules.climbs.references(received.object)
        if wanted:
            fields = lowered((one.change or received.decode()).new)
            for field in wanted:
                parent_id = referred(fields.get(field))
                if parent_id is not None:
                    key = (received.org_id, parent_id, received.object.value, field)
                    found.add((*key, received.record_id))
    await write_references(connection, found)


async def write_references(connection: Connection, references: Iterable[Reference]) -> None:
    """Write references that may be there already."""
    # In the order of the key: transactions that write the same ones cannot deadlock.
    rows = sorted(references)
    if rows:
        await connection.execute(_INSERT, *map(list, zip(*rows, strict=True)))
