"""Sequences' documents as they are kept: settings that the relay reads."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.database import Connection
    from rules import Sequence

_READ: Final = "SELECT sequence, source FROM sequence WHERE org_id = $1 ORDER BY sequence"
_WRITE: Final = """
    INSERT INTO sequence (org_id, sequence, target, target_id, daily_cap, quiet_from, quiet_until,
                          quiet_time_zone, send_to_opted_out, enrich, allow_missing_variables,
                          source)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (org_id, sequence) DO UPDATE
    SET target = excluded.target, target_id = excluded.target_id, daily_cap = excluded.daily_cap,
        quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
        quiet_time_zone = excluded.quiet_time_zone,
        send_to_opted_out = excluded.send_to_opted_out, enrich = excluded.enrich,
        allow_missing_variables = excluded.allow_missing_variables,
        source = excluded.source, applied_at = now()"""
# A paused sequence stays paused: its row stays, with the defaults.
_FORGET: Final = """
    DELETE FROM sequence WHERE org_id = $1 AND sequence = ANY($2::text[])
    RETURNING sequence, paused"""
_KEEP_PAUSED: Final = """
    INSERT INTO sequence (org_id, sequence, paused)
    SELECT $1, paused.sequence, true FROM unnest($2::text[]) AS paused (sequence)"""


async def read(connection: Connection, org_id: str) -> dict[str, str | None]:
    """Return the document of every sequence that has a row; None for one that was only paused."""
    rows = await connection.fetch(_READ, org_id)
    return {row["sequence"]: row["source"] for row in rows}


async def write(
    connection: Connection, org_id: str, sequences: Iterable[tuple[Sequence, str]]
) -> None:
    """Keep sequences with their documents; whether they are paused stays as it is."""
    await connection.executemany(
        _WRITE, [_row(org_id, sequence, source) for sequence, source in sequences]
    )


def _row(org_id: str, sequence: Sequence, source: str) -> tuple[object, ...]:
    quiet = sequence.quiet_hours
    return (
        org_id,
        sequence.name,
        sequence.target.value,
        sequence.target_id,
        sequence.daily_cap,
        time.fromisoformat(quiet.start) if quiet is not None else None,
        time.fromisoformat(quiet.end) if quiet is not None else None,
        quiet.time_zone if quiet is not None else None,
        sequence.send_to_opted_out,
        sequence.enrich,
        sequence.allow_missing_variables,
        source,
    )


async def remove(connection: Connection, org_id: str, names: Collection[str]) -> None:
    """Give sequences their defaults again; one that is paused stays so."""
    rows = await connection.fetch(_FORGET, org_id, list(names))
    paused = [row["sequence"] for row in rows if row["paused"]]
    await connection.execute(_KEEP_PAUSED, org_id, paused)
