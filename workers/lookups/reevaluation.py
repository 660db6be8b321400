"""Changes of parents that make rules matter again for other records: the rows that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pipeline.change import Change
    from pipeline.database import Connection
    from workers.lookups.climbs import Climbs, Way
    from workers.lookups.evaluation import Judged
    from workers.rule_book import RuleBook

_INSERT: Final = """
    INSERT INTO reevaluation (org_id, record_id, captured_at, capture_id, object, way, depth,
                              parent_id, child_object, run_id, rules, horizon, seen_at)
    SELECT org_id, record_id, captured_at, capture_id, object, string_to_array(way, ' '), depth,
           parent_id, child_object, run_id, string_to_array(rules, ' '), horizon::xid8, seen_at
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                $7::integer[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[],
                $13::timestamptz[])
        AS new (org_id, record_id, captured_at, capture_id, object, way, depth, parent_id,
                child_object, run_id, rules, horizon, seen_at)
    ON CONFLICT DO NOTHING"""


class Reevaluation(NamedTuple):
    """A record whose children of one object are to be looked at because of a change further up.

    `depth` lookups of the way, which is in lower case, lie between the records whose rules are to
    be asked and `parent_id`. `run_id` is the replay that it is for, `rules` the only ones that are
    asked then, None for all. `horizon` and `seen_at` come from the row that this one follows from.
    """

    org_id: str
    record_id: str
    captured_at: int
    capture_id: str
    object: str
    way: str
    depth: int
    parent_id: str
    child_object: str
    run_id: int | None = None
    rules: str | None = None
    horizon: str | None = None
    seen_at: datetime | None = None


async def keep_reevaluations(
    connection: Connection, book: RuleBook, judged: Iterable[Judged]
) -> None:
    """Write down which changes make rules matter again for other records."""
    found: list[Reevaluation] = []
    for one in judged:
        received = one.case.change
        rules = book.of(received.org_id)
        if rules is not None and rules.climbs.is_watched(received.object):
            change = one.change or received.decode()
            for way in rules.climbs.moved(change):
                rows = below(change, rules.climbs, way, len(way.references), change.record_id)
                only = None if one.case.only is None else " ".join(sorted(one.case.only))
                found += [row._replace(run_id=one.case.run_id, rules=only) for row in rows]
    await insert(connection, found)


def below(
    cause: Change, climbs: Climbs, way: Way, depth: int, parent_id: str
) -> Iterator[Reevaluation]:
    """Yield a row for each object that the children of a record on the way may be of."""
    for sobject in climbs.levels(way, depth - 1):
        yield Reevaluation(
            org_id=cause.org_id,
            record_id=cause.record_id,
            captured_at=cause.captured_at,
            capture_id=cause.capture_id,
            object=way.child.value,
            way=" ".join(way.references),
            depth=depth,
            parent_id=parent_id,
            child_object=sobject.value,
        )


async def insert(connection: Connection, rows: Iterable[Reevaluation]) -> None:
    """Write rows; one that is there already stays as it is."""
    # In the order of the key: transactions that write the same ones cannot deadlock.
    ordered = sorted(rows, key=lambda row: (*row[:9], row.run_id or 0))
    if ordered:
        await connection.execute(_INSERT, *map(list, zip(*ordered, strict=True)))
