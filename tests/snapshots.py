"""Records as an org is asked for them: callouts of states, and of records that are not there."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from tests.salesforce import callout, now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

# How much later a reading has to come to count more than a change of the same second.
SETTLED_AFTER_MS: Final = 900_000


def datetime_of(moment: int) -> str:
    """Return the second of a moment (Unix ms) as Apex writes a datetime."""
    return f"{dt.datetime.fromtimestamp(moment // 1000, dt.UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def snapshot(
    *records: Mapping[str, Any] | Raw,
    read_at: int | None = None,
    **keys: Any,
) -> dict[str, Any]:
    """Return a callout of records as they were read, now unless `read_at` says when."""
    return _read([{"new": record} for record in records], read_at, keys)


def absence(
    *record_ids: str,
    read_at: int | None = None,
    why: str = "deleted",
    **keys: Any,
) -> dict[str, Any]:
    """Return a callout that says of records that they are not there."""
    gone = [{"old": {"Id": record_id, "absent": why}, "new": None} for record_id in record_ids]
    return _read(gone, read_at, keys)


def _read(
    changes: list[dict[str, Any]], read_at: int | None, keys: dict[str, Any]
) -> dict[str, Any]:
    at = now_ms() if read_at is None else read_at
    return callout(changes, operation="snapshot", captured_at=at, read_at=at, **keys)
