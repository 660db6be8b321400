"""Every place that can hold a record's values: what is deleted with it, and where it is mentioned.

`tests/integration/ops/forget/test_places.py` holds the columns of every table against these lists.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Mentions(NamedTuple):
    """Columns of a table that may mention an address, by type, and the table's key, by type.

    `org` is the condition for rows of the org `$1`.
    """

    table: str
    key: dict[str, str]
    columns: dict[str, str]
    org: str = "one.org_id = $1"


# A page is a few hundred rows of millions: joined to them, the planner had partitions read whole.
BY_INDEX: Final = "SET LOCAL enable_seqscan = off"

# Rows that go with the person's record, in the order in which workers write the tables. Each finds
# a page of rows by an index; `$1` is the org, `$2` the records, `$3` how many.
_DELETE: Final = """
    WITH found AS (
        SELECT found.* FROM unnest($2::text[]) AS gone (record_id)
        CROSS JOIN LATERAL (
            SELECT {key} FROM {table} AS one
            WHERE one.org_id = $1 AND one.record_id = gone.record_id LIMIT $3) AS found
        LIMIT $3)
    DELETE FROM {table} AS one USING found WHERE ({one}) = ({found})"""
_OWN: Final = {
    "change": ("captured_at", "capture_id", "record_id", "org_id"),
    "record": ("org_id", "record_id"),
    "gap": ("gap_id",),
    "waiting": ("waiting_id",),
    "reevaluation": ("reevaluation_id",),
    "dead_letter": ("dead_letter_id",),
}
DELETIONS: Final = {
    table: _DELETE.format(
        table=table,
        key=", ".join(key),
        one=", ".join(f"one.{name}" for name in key),
        found=", ".join(f"found.{name}" for name in key),
    )
    for table, key in _OWN.items()
}

_ANY_ORG: Final = "$1::text IS NOT NULL"
MENTIONS: Final = (
    Mentions(
        "change",
        {"captured_at": "bigint", "capture_id": "text", "record_id": "text", "org_id": "text"},
        {"old": "text", "new": "text"},
    ),
    Mentions("record", {"org_id": "text", "record_id": "text"}, {"fields": "jsonb"}),
    Mentions("gap", {"gap_id": "bigint"}, {"stored": "jsonb", "fields": "jsonb", "error": "text"}),
    Mentions("waiting", {"waiting_id": "bigint"}, {"error": "text"}),
    Mentions("reevaluation", {"reevaluation_id": "bigint"}, {"error": "text"}),
    Mentions("firing", {"firing_id": "bigint"}, {"evidence": "jsonb"}),
    Mentions(
        "enrollment_event", {"firing_id": "bigint", "action": "integer"}, {"variables": "jsonb"}
    ),
    Mentions("enrollment", {"enrollment_id": "bigint"}, {"variables": "jsonb", "reason": "text"}),
    Mentions("outbox", {"outbox_id": "bigint"}, {"payload": "jsonb", "last_error": "text"}),
    # Of any org, or of none that can be told.
    Mentions(
        "dead_letter",
        {"dead_letter_id": "bigint"},
        {"error": "text"},
        org="coalesce(one.org_id, $1) = $1",
    ),
    Mentions(
        "suppression",
        {"value": "text", "org_id": "text"},
        {"reason": "text"},
        org="one.org_id IN ('', $1)",
    ),
    # What operators wrote into filters, of whatever org; who acted stays.
    Mentions(
        "action", {"action_id": "bigint"}, {"parameters": "jsonb", "outcome": "text"}, org=_ANY_ORG
    ),
    Mentions(
        "bulk_run",
        {"run_id": "bigint"},
        {"parameters": "jsonb", "cursor": "jsonb", "error": "text"},
        org=_ANY_ORG,
    ),
)
REPLACEMENT: Final = "forgotten"


def replacing(place: Mentions) -> str:
    """Return a statement that replaces an address in a page of a table's rows.

    `$1` org, `$2` how many rows, `$3` patterns for LIKE, `$4` the pattern, from `$5` on the key
    behind which the page begins. Returns the key of the last row looked at, and how many had it.
    """
    names = ", ".join(place.key)
    after = ", ".join(f"${n}::{kind}" for n, kind in enumerate(place.key.values(), start=5))
    sets = ", ".join(
        f"{name} = regexp_replace(one.{name}::text, $4, '{REPLACEMENT}', 'gi')::{kind}"
        for name, kind in place.columns.items()
    )
    says = " OR ".join(
        f"lower(one.{name}::text) LIKE ANY($3::text[]) AND one.{name}::text ~* $4"
        for name in place.columns
    )
    one, page = (", ".join(f"{t}.{name}" for name in place.key) for t in ("one", "page"))
    bound = f"captured_at >= ${5}::bigint AND " if place.table == "change" else ""
    return f"""
    WITH page AS (
        SELECT {names} FROM {place.table} WHERE {bound}({names}) > ({after})
        ORDER BY {names} LIMIT $2),
    hit AS (
        UPDATE {place.table} AS one SET {sets} FROM page
        WHERE ({one}) = ({page}) AND {place.org} AND ({says})
        RETURNING 1)
    SELECT (SELECT count(*) FROM page) AS looked_at_count,
           (SELECT count(*) FROM hit) AS hit_count, last.*
    FROM (SELECT * FROM page ORDER BY {names} DESC LIMIT 1) AS last"""  # noqa: S608  our own names
