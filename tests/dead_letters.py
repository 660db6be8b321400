"""Many dead letters at once, as workers would have left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.salesforce import ORG_ID, now_ms

if TYPE_CHECKING:
    from pipeline.database import Pool

REASONS: Final = (
    "invalid_record",
    "out_of_window",
    "refused_by_database",
    "rule_failed",
    "crashed_worker",
)
OBJECTS: Final = ("Lead", "Contact", "Task")
# Originals of about 1 kB; every fifth is of each reason, every third of each object.
_FILL: Final = """
    INSERT INTO dead_letter (org_id, object, operation, capture_id, record_id, reason, error,
                             original, callout_id, captured_at, received_at, dead_at)
    SELECT $2, ($5::text[])[1 + n % cardinality($5::text[])], 'update', 'capture-' || n / 100,
           substr('00Q5g0000', 1, 9) || lpad(n::text, 6, '0') || 'AAA', reason,
           CASE WHEN n % 1000 = 7 THEN 'numeric field overflow in record ' || n
                ELSE 'what came of it was no good, number ' || n END,
           convert_to(replace(replace($6, '{capture}', 'capture-' || n / 100), '{record}',
                              '00Q5g0000' || lpad(n::text, 6, '0') || 'AAA'), 'UTF8'),
           'msg-' || n, $3::bigint, $3::bigint, now() - make_interval(secs => n)
    FROM generate_series(0, $1 - 1) AS n,
         LATERAL (SELECT ($4::text[])[1 + n % cardinality($4::text[])] AS reason) AS chosen"""
_ORIGINAL: Final = (
    '{"version":1,"org_id":"ORG","object":"Lead","operation":"update","capture_id":"{capture}",'
    '"transaction_id":"tx","sequence":0,"captured_at":AT,"actor_id":null,"changes":[{"old":'
    '{"Id":"{record}","Status":"Open"},"new":{"Id":"{record}","Status":"Working",'
    '"Email":"{record}@example.com","Description":"FILLER"}}]}'
)


async def fill(
    pool: Pool,
    count: int,
    *,
    org_id: str = ORG_ID,
    objects: tuple[str, ...] = OBJECTS,
) -> None:
    """Leave so many dead letters, and statistics of them; objects other than Lead in name alone."""
    at = now_ms() - 60_000
    original = (
        _ORIGINAL.replace("ORG", org_id).replace("AT", str(at)).replace("FILLER", "word " * 140)
    )
    async with pool.acquire() as connection:
        async with connection.transaction():
            # Only what is on disk is taken for visible to everybody, which counting by index needs.
            await connection.execute("SET LOCAL synchronous_commit = on")
            await connection.execute(
                _FILL, count, org_id, at, list(REASONS), list(objects), original
            )
        await connection.execute("VACUUM ANALYZE dead_letter")
