-- Loads and audits over the callouts that orgs make: what is asked of an org, how far it came, what
-- an audit found, and what the org last told of itself.

-- What an org last told of itself. `heard_at` is the last callout that was proven to be its own;
-- the rest is of its last heartbeat.
CREATE TABLE heartbeat (
    org_id text COLLATE "C" PRIMARY KEY REFERENCES org,
    heard_at timestamptz NOT NULL,
    beat_at timestamptz,
    package_version text,
    api_version text,
    -- The org's clock less ours.
    clock_skew_ms bigint,
    -- Rows of Parked Change: those to be tried again, and those that a person has to look at.
    parked_count integer,
    overflow_count integer,
    -- Asynchronous executions of the last 24 hours, and how many there may be.
    async_used_count integer,
    async_limit_count integer,
    conditions_version integer
);

-- An audit compares what is stored of an org with what the org has, object by object.
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL REFERENCES org,
    started_by text NOT NULL CHECK (started_by IN ('command', 'schedule')),
    -- A stopped one found too much absent, and waits for an operator.
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped', 'done')),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz
);
CREATE UNIQUE INDEX audit_open ON audit (org_id) WHERE state <> 'done';
CREATE INDEX audit_by_org ON audit (org_id, audit_id);

CREATE TABLE audit_object (
    audit_id bigint NOT NULL REFERENCES audit,
    object text COLLATE "C" NOT NULL,
    -- Comparing, until the ranges reach from end to end; healing, until what was asked for came.
    state text NOT NULL DEFAULT 'comparing'
        CHECK (state IN ('comparing', 'stopped', 'healing', 'done')),
    -- An operator saw how much is absent and lets it be asked for.
    absent_allowed boolean NOT NULL DEFAULT false,
    compared_count bigint NOT NULL DEFAULT 0,
    stored_count bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (audit_id, object)
);

-- The ranges (after_id, to_id] that were compared; '' and '~' are the ends, since '~' comes after
-- every id. An org that goes on after an interruption may cut them otherwise: they may overlap.
CREATE TABLE audit_range (
    audit_id bigint NOT NULL REFERENCES audit,
    object text COLLATE "C" NOT NULL,
    after_id text COLLATE "C" NOT NULL,
    to_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (audit_id, object, after_id, to_id)
);

-- A record that differs: not stored, stored as it was before, or stored and not in the org.
CREATE TABLE audit_finding (
    audit_id bigint NOT NULL REFERENCES audit,
    record_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('missing', 'stale', 'extra')),
    -- SystemModstamp as the org told it, and the time of the state that is stored; Unix ms.
    modstamp bigint,
    stored_at bigint,
    request_id bigint,
    healed_at timestamptz,
    PRIMARY KEY (audit_id, record_id)
);
CREATE INDEX audit_finding_by_request ON audit_finding (request_id) WHERE healed_at IS NULL;
CREATE INDEX audit_finding_unasked ON audit_finding (audit_id, object)
    WHERE request_id IS NULL AND healed_at IS NULL;

CREATE TABLE audit_schedule (
    org_id text COLLATE "C" PRIMARY KEY REFERENCES org,
    every_days integer NOT NULL CHECK (every_days BETWEEN 1 AND 366),
    next_at timestamptz NOT NULL
);

-- What an org is asked to send, in the answers to its callouts, until it says that it has.
CREATE TABLE request (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL REFERENCES org,
    kind text NOT NULL CHECK (kind IN ('load', 'resend', 'audit')),
    object text COLLATE "C" NOT NULL,
    -- Of a load: records changed since, Unix ms; null for all.
    since bigint,
    -- Of a resend: these records, whatever has become of them.
    record_ids text[] COLLATE "C",
    audit_id bigint REFERENCES audit,
    -- Why it was made.
    cause text NOT NULL CHECK (cause IN ('command', 'connected', 'synced', 'watched', 'audit')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'withdrawn')),
    -- The last record that came: a walk that was interrupted goes on after it.
    cursor text COLLATE "C" NOT NULL DEFAULT '',
    -- How many records the org said it has, and how many came.
    total_count bigint,
    sent_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When its first and its last callout were worked off.
    began_at timestamptz,
    heard_at timestamptz,
    settled_at timestamptz
);
CREATE INDEX request_open ON request (org_id, request_id) WHERE state = 'open';
CREATE UNIQUE INDEX request_walk ON request (org_id, object, kind)
    WHERE state = 'open' AND kind <> 'resend';

CREATE FUNCTION penstock_tell_request_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY penstock_request;
    RETURN NULL;
END $$;

-- Not for how far one came: that is written with every page, and told with the next reading.
CREATE TRIGGER request_changed AFTER INSERT OR UPDATE OF state ON request
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_tell_request_changed();
