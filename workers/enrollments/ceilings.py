"""The brake on a rule that enrols too many: beyond its ceiling in a clock hour, they are held."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pipeline import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection
    from workers.enrollments.tell import Enrolled

# Count what rules enrolled in this clock hour; return how many that makes.
_COUNT: Final = """
    INSERT INTO rule_hour AS stored (org_id, rule, hour, enrolled_count)
    SELECT org_id, rule, floor(extract(epoch FROM now()) / 3600)::bigint, enrolled_count
    FROM unnest($1::text[], $2::text[], $3::integer[]) AS made (org_id, rule, enrolled_count)
    ON CONFLICT (org_id, rule, hour) DO UPDATE
    SET enrolled_count = stored.enrolled_count + excluded.enrolled_count
    RETURNING org_id, rule, enrolled_count"""

# Hold outbox rows of this transaction, and the enrolments whose newest generation they tell of. One
# that is over already waits for nobody; should its exit be taken back, it is held then.
_HOLD: Final = """
    WITH held AS (
        UPDATE outbox
        SET state = CASE WHEN outbox.generation > enrollment.exited_generation
                THEN 'held' ELSE 'superseded' END,
            last_error = beyond.reason
        FROM unnest($1::bigint[], $2::text[]) AS beyond (outbox_id, reason)
        JOIN outbox AS own USING (outbox_id)
        JOIN enrollment USING (enrollment_id)
        WHERE outbox.outbox_id = beyond.outbox_id
        RETURNING outbox.enrollment_id, outbox.generation, beyond.reason)
    UPDATE enrollment SET state = 'held', reason = held.reason
    FROM held
    WHERE enrollment.enrollment_id = held.enrollment_id
      AND enrollment.generation = held.generation AND enrollment.state = 'pending'"""


async def hold_beyond_ceilings(connection: Connection, enrolled: Iterable[Enrolled]) -> None:
    """Count new generations, given in the order of their keys; hold those beyond their ceiling.

    Comes last, since all who enrol by a rule wait for each other's commit from here on.
    """
    by_rule: defaultdict[tuple[str, str], list[Enrolled]] = defaultdict(list)
    for one in enrolled:
        by_rule[one.org_id, one.event.rule].append(one)
    if not by_rule:
        return
    made = [(*rule, len(by_rule[rule])) for rule in sorted(by_rule)]
    beyond: list[tuple[int, str]] = []
    for row in await connection.fetch(_COUNT, *map(list, zip(*made, strict=True))):
        own = by_rule[row["org_id"], row["rule"]]
        for number, one in enumerate(own, row["enrolled_count"] - len(own) + 1):
            ceiling = one.event.ceiling
            if ceiling is not None and number > ceiling:
                reason = f"held: rule {one.event.rule} enrols at most {ceiling} an hour"
                beyond.append((one.outbox_id, reason))
    if beyond:
        await connection.execute(_HOLD, *map(list, zip(*beyond, strict=True)))
        metrics.enrollments_held.inc(len(beyond))
