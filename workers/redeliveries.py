"""What came to a worker more than once: kept for `explain`, and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.broker import RUN_HEADER
from workers.received import Redelivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aio_pika.abc import AbstractIncomingMessage

    from pipeline.database import Connection
    from workers.received import ReceivedChange

_KEEP: Final = """
    INSERT INTO redelivery AS stored (captured_at, capture_id, record_id, org_id, delivery_count,
                                      delivered_at, run_id)
    SELECT captured_at, capture_id, record_id, org_id, delivery_count,
           to_timestamp(delivered_at / 1000.0), run_id
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[],
                $7::bigint[])
        AS given (captured_at, capture_id, record_id, org_id, delivery_count, delivered_at, run_id)
    ON CONFLICT (captured_at, capture_id, record_id, org_id) DO UPDATE
    SET delivery_count = greatest(stored.delivery_count, excluded.delivery_count),
        delivered_at = excluded.delivered_at, run_id = coalesce(excluded.run_id, stored.run_id)"""


def redelivery_of(message: AbstractIncomingMessage, now_ms: int) -> Redelivery | None:
    """Return what is known of a message that was handed over before, or published again."""
    count = message.headers.get("x-delivery-count", 0)
    run_id = message.headers.get(RUN_HEADER)
    if not count and not message.redelivered and run_id is None:
        return None
    handed_over = count + 1 if isinstance(count, int) and count else 1 + bool(message.redelivered)
    return Redelivery(handed_over, now_ms, run_id if isinstance(run_id, int) else None)


def marked(changes: Iterable[ReceivedChange], again: Redelivery) -> list[ReceivedChange]:
    """Return the changes of a message with what is known of its redelivery."""
    return [msgspec.structs.replace(change, redelivery=again) for change in changes]


async def keep_redeliveries(connection: Connection, batch: Sequence[ReceivedChange]) -> None:
    """Write down which changes of a batch (sorted by key) did not come for the first time.

    Comes first in a transaction: `change` and all that follows is locked later.
    """
    rows = [(*change.key, *change.redelivery) for change in batch if change.redelivery is not None]
    if rows:
        await connection.execute(_KEEP, *map(list, zip(*rows, strict=True)))
