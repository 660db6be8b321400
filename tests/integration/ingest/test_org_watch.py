"""How many orgs are in trouble, as Prometheus is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.org_watch import OrgWatch
from pipeline import metrics
from tests.changes import OTHER_ORG_ID
from tests.salesforce import ORG_ID

if TYPE_CHECKING:
    from pipeline.database import Pool

BEAT = """
    INSERT INTO heartbeat (org_id, heard_at, clock_skew_ms, overflow_count)
    VALUES ($1, now() - make_interval(mins => $2), $3, $4)
    ON CONFLICT (org_id) DO UPDATE
    SET heard_at = excluded.heard_at, clock_skew_ms = excluded.clock_skew_ms,
        overflow_count = excluded.overflow_count"""
CONNECTED = "UPDATE org SET connected_at = now() - make_interval(mins => $1), paused = $2"


async def troubles(pool: Pool) -> dict[str, float]:
    # Other tests leave labels of their own behind.
    metrics.orgs_in_trouble.clear()
    await OrgWatch(pool).look()
    (family,) = metrics.orgs_in_trouble.collect()
    return {sample.labels["trouble"]: sample.value for sample in family.samples}


async def test_orgs_are_counted_by_what_is_wrong_with_them(pool: Pool) -> None:
    fine = {"silent": 0, "clock_off": 0, "cannot_send": 0}
    assert await troubles(pool) == fine, "neither is connected"
    await pool.execute(CONNECTED, 60, False)
    assert await troubles(pool) == fine, "they may be about to be heard of"
    await pool.execute(CONNECTED, 200, False)
    assert await troubles(pool) == {**fine, "silent": 2}
    await pool.execute(BEAT, ORG_ID, 100, 0, 0)
    await pool.execute(BEAT, OTHER_ORG_ID, 0, 0, 0)
    assert await troubles(pool) == fine
    await pool.execute(BEAT, ORG_ID, 130, -160_000, 0)
    await pool.execute(BEAT, OTHER_ORG_ID, 0, 140_000, 5)
    assert await troubles(pool) == {"silent": 1, "clock_off": 1, "cannot_send": 1}
    await pool.execute(CONNECTED, 200, True)
    assert await troubles(pool) == fine, "paused orgs are silent by order"
