-- What operators do to many things at once, what they did, and dead letters that are replayed.

-- One operation on many things: planned, then applied in steps. A step commits its work and the
-- progress together, so that whoever takes the run up goes on where it stopped.
CREATE TABLE bulk_run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL
        CHECK (kind IN ('dead_replay', 'dead_discard', 'history_replay', 'callout_replay')),
    state text COLLATE "C" NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'cancelled', 'finished', 'failed')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What it is applied to.
    parameters jsonb NOT NULL,
    -- Where it stopped, in the kind's own words.
    cursor jsonb NOT NULL DEFAULT '{}',
    -- How many things the plan found; null when nobody can tell.
    total_count bigint,
    done_count bigint NOT NULL DEFAULT 0,
    skipped_count bigint NOT NULL DEFAULT 0,
    failed_count bigint NOT NULL DEFAULT 0,
    rate_per_s integer NOT NULL CHECK (rate_per_s > 0),
    -- Why it failed.
    error text,
    settled_at timestamptz,
    -- One process drives a run: the one that took this fence, until its lease lapses.
    fence bigint NOT NULL DEFAULT 0,
    driven_by text,
    leased_until timestamptz
);

CREATE INDEX bulk_run_open ON bulk_run (run_id) WHERE state IN ('running', 'paused', 'failed');

-- Who did what and when; nothing is ever deleted from it.
CREATE TABLE action (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- user@host of a command line, a token's name of the console.
    actor text NOT NULL,
    action text COLLATE "C" NOT NULL,
    -- No secret and no value of a record.
    parameters jsonb NOT NULL DEFAULT '{}',
    run_id bigint REFERENCES bulk_run,
    -- Of an action with a run, the run's state and counts tell it.
    outcome text
);

CREATE INDEX action_by_run ON action (run_id) WHERE run_id IS NOT NULL;

-- What the broker gave up is kept here too, keyed by the hash of its bytes: a message that cannot
-- be decoded has no org, capture or record.
ALTER TABLE dead_letter
    ALTER org_id DROP NOT NULL,
    ALTER operation DROP NOT NULL,
    ALTER capture_id DROP NOT NULL,
    ALTER record_id DROP NOT NULL,
    ALTER callout_id DROP NOT NULL,
    ALTER captured_at DROP NOT NULL,
    ALTER received_at DROP NOT NULL,
    ADD message_hash bytea UNIQUE,
    -- How the message came to its queue, and how it goes back.
    ADD routing_key text COLLATE "C",
    ADD state text COLLATE "C" NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'replayed', 'discarded')),
    ADD first_dead_at timestamptz,
    -- When it was replayed or discarded last, and by which run.
    ADD settled_at timestamptz,
    ADD run_id bigint REFERENCES bulk_run,
    ADD CHECK ((message_hash IS NULL) = (routing_key IS NULL)),
    ADD CHECK (message_hash IS NOT NULL OR num_nulls(org_id, operation, capture_id, record_id,
                                                     callout_id, captured_at, received_at) = 0);

UPDATE dead_letter SET first_dead_at = dead_at;

ALTER TABLE dead_letter
    ALTER first_dead_at SET NOT NULL,
    ALTER first_dead_at SET DEFAULT now();

-- Lists go by id, a page at a time, and what is open is asked for most.
CREATE INDEX dead_letter_by_state ON dead_letter (state, dead_letter_id);
CREATE INDEX dead_letter_by_reason ON dead_letter (state, reason, dead_letter_id);
CREATE INDEX dead_letter_by_object ON dead_letter (state, object, dead_letter_id);
CREATE INDEX dead_letter_by_org ON dead_letter (state, org_id, dead_letter_id);
CREATE INDEX dead_letter_by_record ON dead_letter (record_id);
CREATE INDEX dead_letter_by_capture ON dead_letter (capture_id);
-- Counting reads this alone, and not the rows with their originals.
CREATE INDEX dead_letter_counts ON dead_letter (state, reason, object, org_id, dead_at)
    INCLUDE (dead_letter_id);
-- Words of errors: what every PostgreSQL can, without an extension.
CREATE INDEX dead_letter_by_text ON dead_letter USING gin (to_tsvector('simple', error));
