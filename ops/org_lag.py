"""How far behind orgs' callouts are: from a change in Salesforce to its arrival here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.database import Connection

# What arrived of late tells enough, and is at one end of one index.
_NEWEST_COUNT: Final = 2_000

_READ: Final = """
    SELECT org_id, count(*) AS changes,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY received_at - captured_at) AS lag_ms
    FROM (
        SELECT org_id, received_at, captured_at FROM change
        ORDER BY captured_at DESC, capture_id DESC, record_id DESC, org_id DESC LIMIT $1) AS newest
    GROUP BY org_id"""


class Lag(msgspec.Struct, frozen=True):
    """The median time from capture to arrival, in ms, of how many `changes`."""

    changes: int
    lag_ms: float


async def lags(connection: Connection) -> Mapping[str, Lag]:
    """Return the lag of each org that is among the newest 2,000 changes.

    Both clocks are in it: it is off by the skew of the org's.
    """
    rows = await connection.fetch(_READ, _NEWEST_COUNT)
    return {row["org_id"]: Lag(row["changes"], row["lag_ms"]) for row in rows}
