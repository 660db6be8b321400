"""What orgs are asked to send: held in memory like the orgs themselves, handed out in answers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from pipeline.database import Connection

# As many as an answer carries; the others come when these are done.
MAX_PER_ANSWER: Final = 10

# Of all orgs that are asked for something, or of the one named. Resends come first: they are short,
# and what they mend is known to be wrong.
_READ_OPEN: Final = """
    SELECT asked.* FROM (
        SELECT DISTINCT org_id FROM request
        WHERE state = 'open' AND ($2::text IS NULL OR org_id = $2)) AS open
    CROSS JOIN LATERAL (
        SELECT request_id, org_id, kind, object, since, record_ids, cursor FROM request
        WHERE request.org_id = open.org_id AND state = 'open'
        ORDER BY kind <> 'resend', request_id LIMIT $1) AS asked"""
_ACKNOWLEDGE: Final = """
    UPDATE request SET state = 'done', settled_at = clock_timestamp()
    WHERE org_id = $1 AND request_id = ANY($2::bigint[]) AND state = 'open'"""

# A walk that goes on for longer is told nothing: it ends by itself.
_READ_WITHDRAWN: Final = """
    SELECT org_id, request_id FROM request
    WHERE state = 'withdrawn' AND settled_at > clock_timestamp() - interval '7 days'
    ORDER BY settled_at DESC LIMIT $1"""
_MAX_WITHDRAWN: Final = 10_000

_encoder: Final = msgspec.json.Encoder()


class Requests:
    """The open requests of all orgs, as fresh as the database allows."""

    def __init__(self) -> None:
        self._by_org: Mapping[str, list[Raw]] = {}
        self._withdrawn: frozenset[tuple[str, int]] = frozenset()

    def of(self, org_id: str) -> list[Raw]:
        """Return what an org is asked for, in the contract's form."""
        return self._by_org.get(org_id, [])

    def is_withdrawn(self, org_id: str, request_id: int | None) -> bool:
        """Tell whether what an org sends is asked for no more of this org."""
        return (org_id, request_id) in self._withdrawn

    async def read(self, connection: Connection) -> None:
        """Read what every org is asked for."""
        by_org: defaultdict[str, list[Raw]] = defaultdict(list)
        for row in await connection.fetch(_READ_OPEN, MAX_PER_ANSWER, None):
            by_org[row["org_id"]].append(_encoded(row))
        withdrawn = await connection.fetch(_READ_WITHDRAWN, _MAX_WITHDRAWN)
        self._by_org = by_org
        self._withdrawn = frozenset((row["org_id"], row["request_id"]) for row in withdrawn)

    async def acknowledge(self, connection: Connection, org_id: str, done: list[int]) -> list[Raw]:
        """Write which requests an org has fulfilled; return what it is asked for now."""
        if done:
            await connection.execute(_ACKNOWLEDGE, org_id, done)
        rows = await connection.fetch(_READ_OPEN, MAX_PER_ANSWER, org_id)
        asked = [_encoded(row) for row in rows]
        self._by_org = {**self._by_org, org_id: asked}
        return asked


def _encoded(row: asyncpg.Record) -> Raw:
    request = {"id": row["request_id"], "kind": row["kind"], "object": row["object"]}
    match row["kind"]:
        case "resend":
            request["ids"] = row["record_ids"]
        case "load":
            request |= {"since": row["since"], "after": row["cursor"] or None}
        case _:
            request["after"] = row["cursor"] or None
    return Raw(_encoder.encode(request))
