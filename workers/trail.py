"""What a worker's log says of the changes that it commits: ids, never values.

A batch is one line at info, with the ids of its first callouts: all of them when it is quiet, which
is when somebody follows one. Under load a line for each change would cost more than judging it, so
those are written at debug alone; what became of a change stands in the database for `explain`.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.received import ReceivedChange

log = structlog.get_logger()

_MAX_IDS: Final = 10
# A callout has up to 200 changes: of a batch of a few thousand, only the first are looked at.
_MAX_LOOKED_AT: Final = 400


def tell_of_batch(changes: Sequence[ReceivedChange], dead_count: int, seconds: float) -> None:
    """Log a batch that was committed; its dead letters have lines of their own."""
    if not changes:
        return
    first = list(islice(changes, _MAX_LOOKED_AT))
    log.info(
        "batch_committed",
        change_count=len(changes),
        dead_count=dead_count,
        took_ms=round(seconds * 1000, 1),
        org_ids=_distinct(change.org_id for change in first),
        callout_ids=_distinct(change.callout_id for change in first),
        capture_ids=_distinct(change.capture_id for change in first),
    )
    if log.is_enabled_for(logging.DEBUG):
        for change in changes:
            log.debug(
                "change_committed",
                org_id=change.org_id,
                callout_id=change.callout_id,
                capture_id=change.capture_id,
                record_id=change.record_id,
            )


def _distinct(ids: Iterable[str]) -> list[str]:
    return list(islice(dict.fromkeys(ids), _MAX_IDS))
