"""How far the requests came that snapshots answer."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection
    from workers.received import ReceivedChange

# Healed is what is stored as the answer says, or was changed since it was read. An answer that a
# newer state outdoes heals nothing: the next audit looks again. Nor does another
# org's answer.
_HEAL: Final = """
    UPDATE audit_finding SET healed_at = clock_timestamp()
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
            AS told (request_id, record_id, org_id, is_absent, read_at)
        JOIN request USING (request_id, org_id)
        LEFT JOIN record USING (org_id, record_id)
    WHERE audit_finding.request_id = told.request_id
      AND audit_finding.record_id = told.record_id AND healed_at IS NULL
      AND (coalesce(record.deleted, true) = is_absent OR record.captured_at > read_at)"""
_COUNT: Final = """
    UPDATE request
    SET cursor = greatest(cursor, told.last_id COLLATE "C"),
        sent_count = request.sent_count + told.sent_count,
        total_count = coalesce(told.total_count, request.total_count),
        began_at = coalesce(began_at, clock_timestamp()), heard_at = clock_timestamp()
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
        AS told (request_id, org_id, last_id, sent_count, total_count)
    WHERE (request.request_id, request.org_id) = (told.request_id, told.org_id)"""


async def keep_progress(connection: Connection, read: Sequence[ReceivedChange]) -> None:
    """Write how far the requests came that were answered, and what of an audit is healed.

    The last statement of a transaction: whoever works on the same request waits for its end.
    """
    answers: defaultdict[tuple[int, str], list[ReceivedChange]] = defaultdict(list)
    totals: dict[tuple[int, str], int] = {}
    told: list[tuple[int, str, str, bool, int]] = []
    for one in read:
        if one.reading is None or one.reading.request_id is None:
            continue
        request = (one.reading.request_id, one.org_id)
        answers[request].append(one)
        told.append((request[0], one.record_id, one.org_id, one.is_absent, one.reading.read_at))
        if one.reading.total is not None:
            totals[request] = one.reading.total
    if not answers:
        return
    await connection.execute(_HEAL, *map(list, zip(*sorted(told), strict=True)))
    counted = [
        (*request, max(one.record_id for one in own), len(own), totals.get(request))
        for request, own in sorted(answers.items())
    ]
    await connection.execute(_COUNT, *map(list, zip(*counted, strict=True)))
