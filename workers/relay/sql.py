"""The statements behind claims and what becomes of them. Each takes a batch as arrays.

A *line* is the open rows of one sequence for one target (a rule's call has no sequence). Lines are
found by stepping through the index, so that a claim costs the same whatever waits in them.
"""

from __future__ import annotations

from typing import Final

_IS_RUNNING: Final = """
    NOT EXISTS (SELECT FROM relay_stop WHERE relay_stop.target IN ('all', line.target))
    AND NOT EXISTS (SELECT FROM sequence
                    WHERE sequence.org_id = line.org_id AND sequence.sequence = line.sequence
                      AND sequence.paused)"""

# The targets that have something due, in lines that nobody stopped.
DUE_TARGETS: Final = f"""
    WITH RECURSIVE line AS (
        (SELECT target, org_id, coalesce(sequence, '') AS sequence FROM outbox
         WHERE state = 'open'
         ORDER BY target, org_id, coalesce(sequence, '') LIMIT 1)
        UNION ALL
        SELECT next.* FROM line CROSS JOIN LATERAL (
            SELECT target, org_id, coalesce(sequence, '') FROM outbox
            WHERE state = 'open'
              AND (target, org_id, coalesce(sequence, ''))
                > (line.target, line.org_id, line.sequence)
            ORDER BY target, org_id, coalesce(sequence, '') LIMIT 1) AS next)
    SELECT DISTINCT target FROM line
    WHERE EXISTS (SELECT FROM outbox AS one
                  WHERE one.state = 'open' AND one.target = line.target
                    AND one.org_id = line.org_id AND coalesce(one.sequence, '') = line.sequence
                    AND one.due_at <= now())
      AND {_IS_RUNNING}
    ORDER BY target"""  # noqa: S608  composed of constants

# Lease rows of one target, the longest due of each line in turn, so that none starves another.
#
# Only the oldest waiting row of a recipient: one is told in order. Of other sequences' rows those
# do not count that nobody knows the end of: held ones, put off ones, what waits for either, those
# of paused sequences.
# What has to wait for another row is looked at again after as long as it has waited already, half
# an hour at most, or when that row is settled: a backlog of such rows costs next to nothing.
CLAIM: Final = f"""
    WITH RECURSIVE line AS (
        (SELECT target, org_id, coalesce(sequence, '') AS sequence FROM outbox
         WHERE state = 'open' AND target = $1
         ORDER BY org_id, coalesce(sequence, '') LIMIT 1)
        UNION ALL
        SELECT next.* FROM line CROSS JOIN LATERAL (
            SELECT target, org_id, coalesce(sequence, '') FROM outbox
            WHERE state = 'open' AND target = $1
              AND (org_id, coalesce(sequence, '')) > (line.org_id, line.sequence)
            ORDER BY org_id, coalesce(sequence, '') LIMIT 1) AS next),
    due AS (
        SELECT one.* FROM line CROSS JOIN LATERAL (
            SELECT outbox_id, target, org_id, sequence, recipient, due_at,
                   row_number() OVER (ORDER BY due_at, outbox_id) AS place
            FROM outbox
            WHERE state = 'open' AND outbox.target = $1 AND outbox.org_id = line.org_id
              AND coalesce(outbox.sequence, '') = line.sequence AND due_at <= now()
            ORDER BY due_at, outbox_id LIMIT greatest(4 * $2, 200)) AS one
        WHERE {_IS_RUNNING}
        ORDER BY place, due_at, outbox_id LIMIT greatest(4 * $2, 200)),
    judged AS (
        SELECT due.*, EXISTS (
            SELECT FROM outbox AS earlier
            WHERE earlier.target = due.target AND earlier.recipient = due.recipient
              AND earlier.outbox_id < due.outbox_id AND earlier.state IN ('open', 'held')
              AND ((earlier.org_id = due.org_id
                    AND earlier.sequence IS NOT DISTINCT FROM due.sequence)
                   OR (earlier.state = 'open' AND earlier.delayed_for IS NULL
                       AND NOT EXISTS (SELECT FROM sequence
                                       WHERE sequence.org_id = earlier.org_id
                                         AND sequence.sequence = earlier.sequence
                                         AND sequence.paused)
                       AND NOT EXISTS (SELECT FROM outbox AS first
                                       WHERE first.target = earlier.target
                                         AND first.recipient = earlier.recipient
                                         AND first.outbox_id < earlier.outbox_id
                                         AND first.org_id = earlier.org_id
                                         AND first.sequence = earlier.sequence
                                         AND (first.state = 'held' OR first.state = 'open'
                                              AND first.delayed_for IS NOT NULL))))
        ) AS has_to_wait
        FROM due),
    waiting AS (
        SELECT outbox.outbox_id FROM outbox JOIN judged USING (outbox_id)
        WHERE has_to_wait AND outbox.state = 'open' AND outbox.due_at <= now()
        FOR UPDATE OF outbox SKIP LOCKED),
    put_back AS (
        UPDATE outbox
        SET due_at = now() + least(greatest(now() - created_at, interval '1 second'),
                                   interval '30 minutes')
        FROM waiting WHERE outbox.outbox_id = waiting.outbox_id
        RETURNING outbox.outbox_id),
    free AS (
        SELECT outbox.outbox_id, outbox.unanswered FROM outbox JOIN judged USING (outbox_id)
        WHERE NOT has_to_wait AND outbox.state = 'open' AND outbox.due_at <= now()
        ORDER BY judged.place, judged.due_at, outbox.outbox_id LIMIT $2
        FOR UPDATE OF outbox SKIP LOCKED),
    claimed AS (
        UPDATE outbox
        SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3),
            unanswered = true, delayed_for = NULL
        FROM free WHERE outbox.outbox_id = free.outbox_id
        RETURNING outbox.outbox_id, outbox.recipient, outbox.attempts,
                  free.unanswered AS was_unanswered)
    SELECT outbox_id, recipient, attempts, was_unanswered, false AS is_put_back FROM claimed
    UNION ALL SELECT outbox_id, NULL, NULL, NULL, true FROM put_back"""  # noqa: S608  as above

# Everything that says whether a claimed row is to be sent, and what: as it stands now, not as it
# stood when the row was written. `$2` and `$3` are what of each row's recipient may be suppressed.
# Who was forgotten is on either list as a keyed hash.
# The target has whom any generation added that no exit ended since: one may follow another without
# an exit, and need no telling; and one that is told again follows the exit that ended it.
LOOK: Final = """
    WITH listed AS (
        SELECT DISTINCT ON (outbox_id) outbox_id, suppression.value, suppression.reason
        FROM unnest($2::bigint[], $3::text[]) AS may_be (outbox_id, plain)
        JOIN outbox USING (outbox_id)
        CROSS JOIN LATERAL (
            VALUES (plain), (penstock_address_mark(outbox.org_id, plain)),
                   (penstock_address_mark('', plain))) AS form (value)
        JOIN suppression USING (value)
        WHERE suppression.org_id IN ('', outbox.org_id)
        ORDER BY outbox_id, length(suppression.value) DESC)
    SELECT one.outbox_id, one.kind, one.target, one.org_id, one.sequence, one.recipient,
           one.generation, one.idempotency_key, one.payload,
           extract(epoch FROM one.created_at)::float8 AS created_at_s,
           enrollment.enrollment_id, enrollment.state, enrollment.generation AS stands_at,
           enrollment.exited_generation, enrollment.variables, enrollment.reason,
           firing.rule, firing.rule_version, firing.object, firing.record_id, firing.capture_id,
           firing.captured_at,
           sequence.target_id, sequence.daily_cap, sequence.quiet_from, sequence.quiet_until,
           coalesce(sequence.enrich, false) AS enrich,
           coalesce(sequence.allow_missing_variables, false) AS allow_missing_variables,
           coalesce(sequence.quiet_time_zone, org.time_zone, 'UTC') AS quiet_time_zone,
           coalesce(org.time_zone, 'UTC') AS time_zone,
           one.kind = 'exit' AND EXISTS (
               SELECT FROM outbox AS added
               WHERE added.enrollment_id = one.enrollment_id AND added.kind = 'add'
                 AND added.generation <= one.generation AND added.target = one.target
                 AND (added.state = 'delivered' OR added.unanswered)
                 AND NOT EXISTS (
                     SELECT FROM outbox AS ended
                     WHERE ended.enrollment_id = one.enrollment_id AND ended.kind = 'exit'
                       AND ended.generation >= added.generation
                       AND ended.generation < one.generation
                       AND ended.outbox_id > added.outbox_id
                       AND ended.state = 'delivered')) AS was_added,
           one.kind = 'exit' AND EXISTS (
               SELECT FROM outbox AS later
               WHERE later.enrollment_id = one.enrollment_id AND later.kind = 'add'
                 AND later.generation > one.generation AND later.target = one.target
                 AND later.state = 'delivered') AS is_followed,
           listed.value AS listed_value, listed.reason AS listed_reason,
           CASE WHEN sequence.send_to_opted_out THEN NULL
                WHEN refuses.opted_out THEN 'opted out'
                WHEN refuses.bounced THEN 'mail to it bounced' END AS refuses
    FROM outbox AS one
    LEFT JOIN enrollment USING (enrollment_id)
    LEFT JOIN firing ON firing.firing_id = coalesce(one.firing_id, enrollment.firing_id)
    LEFT JOIN org ON org.org_id = one.org_id
    LEFT JOIN sequence ON sequence.org_id = one.org_id AND sequence.sequence = one.sequence
    LEFT JOIN listed ON listed.outbox_id = one.outbox_id
    LEFT JOIN LATERAL (
        SELECT bool_or(opted_out) AS opted_out, bool_or(bounced) AS bounced FROM opt_out
        WHERE opt_out.org_id = one.org_id
          AND (opt_out.address IN (one.recipient, penstock_address_mark(one.org_id, one.recipient))
               OR opt_out.record_id = firing.record_id)
          AND (opted_out OR bounced)) AS refuses ON one.kind = 'add'
    WHERE one.outbox_id = ANY($1::bigint[])"""

# Reserve places in sequences' days; return how many are taken now, these included.
RESERVE: Final = """
    INSERT INTO sequence_day AS stored (org_id, sequence, day, sent_count)
    SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::integer[])
    ON CONFLICT (org_id, sequence, day) DO UPDATE
    SET sent_count = stored.sent_count + excluded.sent_count
    RETURNING org_id, sequence, day, sent_count"""

# Give places back that nothing was sent in.
GIVE_BACK: Final = """
    UPDATE sequence_day AS stored SET sent_count = stored.sent_count - free.free_count
    FROM unnest($1::text[], $2::text[], $3::date[], $4::integer[])
        AS free (org_id, sequence, day, free_count)
    WHERE (stored.org_id, stored.sequence, stored.day) = (free.org_id, free.sequence, free.day)"""

# Put rows off: no attempt was made of them.
DELAY: Final = """
    UPDATE outbox
    SET attempts = outbox.attempts - 1, due_at = late.until, delayed_for = late.delayed_for,
        unanswered = late.was_unanswered
    FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::boolean[])
        AS late (outbox_id, attempt, until, delayed_for, was_unanswered)
    WHERE outbox.outbox_id = late.outbox_id AND outbox.attempts = late.attempt"""

# Locked before outbox rows and in the order of their keys, as workers do.
LOCK_ENROLLMENTS: Final = """
    SELECT enrollment_id, state, generation, exited_generation FROM enrollment
    WHERE enrollment_id = ANY($1::bigint[])
    ORDER BY org_id, sequence, recipient
    FOR NO KEY UPDATE"""

# Say what became of claims, unless another relay has the row by now; return whose it was still.
SETTLE: Final = """
    UPDATE outbox
    SET state = done.state,
        last_error = CASE WHEN done.state = 'open' THEN coalesce(done.error, outbox.last_error)
                          ELSE done.error END,
        attempts = outbox.attempts - done.untried::integer,
        unanswered = done.unanswered,
        due_at = CASE WHEN done.state = 'open' THEN now() + make_interval(secs => done.pause_s)
                      ELSE outbox.due_at END,
        settled_at = CASE WHEN done.state <> 'open' THEN now() END
    FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::float8[], $6::boolean[],
                $7::boolean[])
        AS done (outbox_id, attempt, state, error, pause_s, untried, unanswered)
    WHERE outbox.outbox_id = done.outbox_id AND outbox.attempts = done.attempt
      AND outbox.state = 'open'
    RETURNING outbox.outbox_id"""

SETTLE_ENROLLMENTS: Final = """
    UPDATE enrollment SET state = done.state, reason = done.reason
    FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[])
        AS done (enrollment_id, generation, state, reason)
    WHERE enrollment.enrollment_id = done.enrollment_id
      AND enrollment.generation = done.generation AND enrollment.state = 'pending'"""

# Tell of generations again that an exit ended at the target only: behind all that is under way, as
# if they were new, and under a key that is. If nobody knows what became of the exit, the target may
# have them still, from when they were first told.
TELL_AGAIN: Final = """
    WITH again AS (
        UPDATE outbox
        SET outbox_id = DEFAULT, attempts = 0, created_at = now(),
            state = 'open', due_at = now(), settled_at = NULL,
            unanswered = undone.is_in_doubt,
            idempotency_key = outbox.idempotency_key || '_' || outbox.outbox_id
        FROM unnest($1::bigint[], $2::integer[], $3::boolean[])
            AS undone (enrollment_id, generation, is_in_doubt)
        WHERE (outbox.enrollment_id, outbox.generation) = (undone.enrollment_id, undone.generation)
          AND outbox.kind = 'add' AND outbox.state = 'delivered'
        RETURNING outbox.enrollment_id, outbox.generation)
    UPDATE enrollment SET state = 'pending' FROM again
    WHERE (enrollment.enrollment_id, enrollment.generation)
        = (again.enrollment_id, again.generation) AND enrollment.state = 'active'"""

# Tell exits again that an add undid at the target which was on its way when they were committed.
EXIT_AGAIN: Final = """
    UPDATE outbox
    SET outbox_id = DEFAULT, attempts = 0, created_at = now(),
        state = 'open', due_at = now(), settled_at = NULL,
        idempotency_key = outbox.idempotency_key || '_' || outbox.outbox_id
    FROM unnest($1::bigint[], $2::integer[]) AS ended (enrollment_id, generation)
    WHERE (outbox.enrollment_id, outbox.generation) = (ended.enrollment_id, ended.generation)
      AND outbox.kind = 'exit' AND outbox.state = 'delivered'
      AND NOT EXISTS (SELECT FROM outbox AS other
                      WHERE other.enrollment_id = ended.enrollment_id AND other.kind = 'exit'
                        AND other.state IN ('open', 'held'))"""

# What waited for settled rows is due: the untried rows of their recipients.
WAKE: Final = """
    UPDATE outbox SET due_at = now()
    FROM (SELECT DISTINCT next.outbox_id
          FROM unnest($1::text[], $2::text[]) AS done (target, recipient)
          CROSS JOIN LATERAL (
              SELECT outbox_id FROM outbox
              WHERE state = 'open' AND outbox.target = done.target
                AND outbox.recipient = done.recipient
              ORDER BY outbox_id LIMIT 10) AS next) AS next
    WHERE outbox.outbox_id = next.outbox_id AND state = 'open' AND attempts = 0
      AND delayed_for IS NULL"""

STOP_TARGET: Final = """
    INSERT INTO relay_stop (target, reason) VALUES ($1, $2) ON CONFLICT DO NOTHING"""
