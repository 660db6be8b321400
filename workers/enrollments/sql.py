"""The statements behind firings and enrolments. Each takes a batch as arrays."""

from __future__ import annotations

from typing import Final

# Insert firings, or move one to an earlier change of its transaction; return those that count.
WRITE_FIRINGS: Final = """
    INSERT INTO firing AS stored (org_id, transaction_id, record_id, rule, rule_version, object,
                                  captured_at, sequence, capture_id, evidence)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[],
                         $7::bigint[], $8::integer[], $9::text[], $10::jsonb[])
    ON CONFLICT (org_id, transaction_id, record_id, rule) DO UPDATE
    SET rule_version = excluded.rule_version, captured_at = excluded.captured_at,
        sequence = excluded.sequence, capture_id = excluded.capture_id,
        evidence = excluded.evidence, fired_at = clock_timestamp()
    WHERE (excluded.captured_at, excluded.sequence, excluded.capture_id)
        < (stored.captured_at, stored.sequence, stored.capture_id)
    RETURNING firing_id, org_id, transaction_id, record_id, rule, (xmax <> 0) AS replaced"""

# Take back the events of firings that moved; return whose enrolments lost one.
DELETE_EVENTS: Final = """
    DELETE FROM enrollment_event WHERE firing_id = ANY($1::bigint[])
    RETURNING org_id, sequence, recipient"""

# Keep each add, for this fold and every later one.
INSERT_EVENTS: Final = """
    INSERT INTO enrollment_event (firing_id, action, org_id, sequence, recipient, re_enroll,
                                  variables)
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[],
                         $6::text[], $7::jsonb[])"""

# Make or find the enrolments and hold their rows' locks, in the order of their keys.
LOCK_ENROLLMENTS: Final = """
    INSERT INTO enrollment AS stored (org_id, sequence, recipient, state, generation)
    SELECT *, 'pending', 0 FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (org_id, sequence, recipient) DO UPDATE SET recipient = excluded.recipient
    RETURNING enrollment_id, org_id, sequence, recipient, generation, firing_id, variables"""

# Read every event of the enrolments, as committed now that their rows are locked.
READ_EVENTS: Final = """
    SELECT event.org_id, event.sequence AS enrolled_in, event.recipient, event.action,
           event.re_enroll, event.variables, firing.firing_id, firing.rule, firing.record_id,
           firing.captured_at, firing.sequence, firing.capture_id
    FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (org_id, sequence, recipient)
    JOIN enrollment_event AS event USING (org_id, sequence, recipient)
    JOIN firing USING (firing_id)"""

# Write what the fold says. Another generation stands as its own delivery does, if there was one
# already: an older change that comes late may take a generation back, a later one bring it again.
UPDATE_ENROLLMENTS: Final = """
    UPDATE enrollment
    SET state = CASE
            WHEN folded.generation = 0 THEN 'exited'
            WHEN folded.generation = enrollment.generation THEN enrollment.state
            WHEN outbox.state = 'delivered' THEN 'active'
            WHEN outbox.state = 'failed' THEN 'failed'
            ELSE 'pending'
        END,
        generation = folded.generation, firing_id = folded.firing_id,
        variables = folded.variables,
        enrolled_at = CASE
            WHEN folded.firing_id IS DISTINCT FROM enrollment.firing_id
              OR folded.generation <> enrollment.generation THEN clock_timestamp()
            ELSE enrolled_at
        END
    FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::jsonb[], $5::text[])
        AS folded (enrollment_id, generation, firing_id, variables, idempotency_key)
    LEFT JOIN outbox USING (idempotency_key)
    WHERE enrollment.enrollment_id = folded.enrollment_id"""

# Leave word for the target, once per generation; what was superseded is told after all.
INSERT_OUTBOX: Final = """
    INSERT INTO outbox (enrollment_id, generation, recipient, idempotency_key, target)
    SELECT *, $5 FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[])
    ON CONFLICT (idempotency_key) DO UPDATE
    SET state = 'open', due_at = now(), settled_at = NULL
    WHERE outbox.state = 'superseded'"""
