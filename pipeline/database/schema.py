"""Whether this version and a database go together: what each lacks of the other's migrations.

A version knows its migrations and nothing of later ones. So a later version writes down with each
that takes something away which processes can do without it, for older ones to read.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.database.apply import Migration, parse
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.database.pool import Connection

# Processes tell every 5 s; one that could not for as long as this finds out by itself.
_SILENT_S: Final = 60.0

# By way of JSON: a database from before 0019 has no such columns.
_READ: Final = """
    SELECT number, (to_jsonb(one) ->> 'unused_since')::integer AS unused_since
    FROM schema_migration AS one"""
_READ_RUNNING: Final = """
    SELECT kind, host, pid, version FROM process
    WHERE ended_at IS NULL AND told_at > now() - make_interval(secs => $1)
      AND coalesce(knows_migration, 0) < $2
    ORDER BY kind, host, pid"""


class Schema(NamedTuple):
    """A database beside this version, by numbers of migrations.

    It `lacks` what this version works with; `leftover` is what only older versions do, still to be
    taken away; `unknown` a later version applied. A process has to know `oldest` or later ones.
    """

    lacks: Sequence[int]
    leftover: Sequence[int]
    unknown: Sequence[int]
    oldest: int

    @property
    def is_too_new(self) -> bool:
        """Whether something is gone that this version works with."""
        return self.oldest > newest_known()

    def problem(self) -> str | None:
        """Say why this version cannot work with it, or None."""
        if self.is_too_new:
            return (
                "the database is of a later version, and without what this one needs: it knows"
                f" migrations up to {newest_known():04}, and at least {self.oldest:04} is asked"
                " for; upgrade it"
            )
        if self.lacks:
            count = f"{len(self.lacks)} of Penstock's migrations"
            return f"the database lacks {count}: run `penstock migrate`"
        return None


@cache
def migrations() -> Mapping[int, Migration]:
    """Return all migrations by their numbers."""
    files = resources.files("pipeline.migrations").iterdir()
    found = [
        parse(int(file.name.partition("_")[0]), file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".sql")
    ]
    return {one.number: one for one in found}


def newest_known() -> int:
    """Return the number of the newest migration of this version."""
    return max(migrations())


async def read_schema(connection: Connection) -> Schema:
    """Return what a database is to this version. One with nothing in it lacks all."""
    known = migrations()
    exists = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
    rows = await connection.fetch(_READ) if exists else []
    applied = {row["number"] for row in rows}
    pending = sorted(known.keys() - applied)
    return Schema(
        lacks=[number for number in pending if known[number].unused_since is None],
        leftover=[number for number in pending if known[number].unused_since is not None],
        unknown=sorted(applied - known.keys()),
        oldest=max((row["unused_since"] or 0 for row in rows), default=0),
    )


async def older_processes(connection: Connection, number: int) -> list[str]:
    """Return the processes that run and know no migration from `number` on."""
    rows = await connection.fetch(_READ_RUNNING, _SILENT_S, number)
    return [
        f"{row['kind']} {row['pid']} on {row['host']} ({row['version'] or 'before 0019'})"
        for row in rows
    ]


async def require_migrated(connection: Connection) -> None:
    """Return when the database answers and this version can work with it.

    Raises:
        TransientError: it cannot; says what to do.
        Exception: it does not answer; `pipeline.errors.classify` tells what follows.
    """
    if problem := (await read_schema(connection)).problem():
        raise TransientError(problem)
