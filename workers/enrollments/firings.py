"""Firings: a rule that matched, once a transaction and record, with what made it match."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection
    from rules import Evidence
    from workers.enrollments.fired import Fired

# Insert firings, or move one to an earlier change of its transaction; return those that count.
_WRITE_FIRINGS: Final = """
    INSERT INTO firing AS stored (org_id, transaction_id, record_id, rule, rule_version, object,
                                  captured_at, sequence, capture_id, cause_record_id, evidence,
                                  run_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[],
                         $7::bigint[], $8::integer[], $9::text[], $10::text[], $11::jsonb[],
                         $12::bigint[])
    ON CONFLICT (org_id, transaction_id, record_id, rule) DO UPDATE
    SET rule_version = excluded.rule_version, captured_at = excluded.captured_at,
        sequence = excluded.sequence, capture_id = excluded.capture_id,
        cause_record_id = excluded.cause_record_id, evidence = excluded.evidence,
        run_id = excluded.run_id,
        fired_at = clock_timestamp()
    WHERE (excluded.captured_at, excluded.sequence, excluded.capture_id,
           coalesce(excluded.cause_record_id, ''))
        < (stored.captured_at, stored.sequence, stored.capture_id,
           coalesce(stored.cause_record_id, ''))
    RETURNING firing_id, org_id, transaction_id, record_id, rule, (xmax <> 0) AS replaced"""


class Written(NamedTuple):
    """The firings that count, by id, and which of them stood for a later change before."""

    counted: dict[int, Fired]
    replaced: list[int]


async def write_firings(connection: Connection, fired: Sequence[Fired]) -> Written:
    """Write firings, of which no two have one key, given in the order of their keys.

    A firing that stands already counts unless this one's change comes before its change.
    """
    if not fired:
        return Written({}, [])
    rows = await connection.fetch(
        _WRITE_FIRINGS,
        [one.change.org_id for one in fired],
        [one.change.transaction_id for one in fired],
        [one.change.record_id for one in fired],
        [one.match.rule for one in fired],
        [one.match.version for one in fired],
        [one.change.object.value for one in fired],
        [one.change.captured_at for one in fired],
        [one.change.sequence for one in fired],
        [one.change.capture_id for one in fired],
        [one.cause_record_id for one in fired],
        [_encode(one.match.evidence) for one in fired],
        [one.run_id for one in fired],
    )
    by_key = {one.key: one for one in fired}
    counted = {
        row["firing_id"]: by_key[
            (row["org_id"], row["transaction_id"], row["record_id"], row["rule"])
        ]
        for row in rows
    }
    return Written(dict(sorted(counted.items())), [r["firing_id"] for r in rows if r["replaced"]])


def _encode(evidence: tuple[Evidence, ...]) -> str:
    return json_text.encode_masked(msgspec.to_builtins(evidence, builtin_types=(Decimal,)))
