"""Which processes run, by what they told of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.times import with_iso_times

if TYPE_CHECKING:
    from pipeline.database import Connection

# They tell every 5 s; a statement may take as long.
_SILENT_S: Final = 15

_READ: Final = """
    SELECT kind, host, pid, version, objects, started_at, told_at,
           CASE WHEN ended_at IS NOT NULL THEN 'ended'
                WHEN told_at < now() - make_interval(secs => $1) THEN 'silent'
                ELSE 'running' END AS state
    FROM process ORDER BY kind, host, started_at, pid"""


class Process(msgspec.Struct, frozen=True):
    """A process that runs or lately ran; times are RFC 3339.

    `state` is `running`, `ended` (it drained) or `silent`: it has not told of itself for 15 s, so
    it was killed, or cannot reach the database. `objects` are those that a worker consumes.
    `version` is None of those that did not tell it yet.
    """

    kind: str
    host: str
    pid: int
    version: str | None
    objects: list[str]
    started_at: str
    told_at: str
    state: str


async def processes(connection: Connection) -> list[Process]:
    """Return the processes of the last two hours."""
    return [Process(**with_iso_times(row)) for row in await connection.fetch(_READ, _SILENT_S)]
