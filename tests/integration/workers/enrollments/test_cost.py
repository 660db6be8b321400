"""What one more event costs does not grow with what was kept before it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from tests.integration.workers.enrollments.acts import (
    ANA,
    LEADS,
    START,
    add,
    change,
    process,
    rows,
)
from tests.salesforce import ORG_ID
from workers.enrollments.events import READ_EVENTS

if TYPE_CHECKING:
    import pytest

    from pipeline.database import Pool

KEPT_COUNT: Final = 20_000
# The package has a function of the same name.
fire: Final = importlib.import_module("workers.enrollments.fire")

# Events of the recipient, and as many of others.
FILL: Final = """
    WITH fired AS (
        INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version, object,
                            captured_at, sequence, capture_id, evidence)
        SELECT $1, 'tx-kept-' || n, $2, 'r', 1, 'Lead', $3::bigint - n, 0, 'kept-' || n, '[]'
        FROM generate_series(1, 2 * $4::integer) AS n
        RETURNING firing_id, captured_at, capture_id)
    INSERT INTO enrollment_event (firing_id, action, org_id, sequence, recipient, captured_at,
                                  capture_sequence, capture_id, rule, record_id, re_enroll,
                                  ceiling, variables)
    SELECT firing_id, 0, $1, 'nurture',
           CASE WHEN $3 - captured_at <= $4::integer THEN $5
                ELSE (captured_at % 100) || '@example.com' END,
           captured_at, 0, capture_id, 'r', $2, 'never', 1000, '{}'
    FROM fired"""


async def fill(pool: Pool) -> None:
    await pool.execute(FILL, ORG_ID, LEADS[0], START, KEPT_COUNT, ANA)
    # A late event has all of them folded from the start; from then on that is known.
    await process(pool, change(-KEPT_COUNT - 1, add()))
    await pool.execute("ANALYZE")


async def test_an_event_in_order_costs_the_same_however_many_were_kept(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(pool)
    before = await rows(pool, "SELECT enrollment_id, generation, enrolled_at FROM enrollment")

    async def read_again(*_: object) -> None:
        raise AssertionError("what was folded already was read again")

    monkeypatch.setattr(fire, "read_events", read_again)
    for at in range(5):
        await process(pool, change(at, add()), change(at, add(), record_id=LEADS[1]))
    assert before == await rows(
        pool, "SELECT enrollment_id, generation, enrolled_at FROM enrollment"
    )


async def test_a_fold_from_the_start_reads_one_index_in_order(pool: Pool) -> None:
    await fill(pool)
    plan = await pool.fetch("EXPLAIN " + READ_EVENTS, [ORG_ID], ["nurture"], [ANA])
    text = "\n".join(row[0] for row in plan)
    assert "enrollment_event_in_order" in text
    assert "Sort" not in text
    assert "Seq Scan" not in text
