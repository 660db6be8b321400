-- The tables of the whole path. Times named *_at of type bigint are Unix ms, as the contract
-- has them; ids compare byte by byte.

-- An org and its secrets. Ingest holds this table in memory and is told when it changes.
CREATE TABLE org (
    org_id text COLLATE "C" PRIMARY KEY,
    sync_user_id text COLLATE "C" NOT NULL,
    -- The one-time code that a handshake is signed with.
    connect_code text,
    connect_code_expires_at timestamptz,
    -- The secret in use, and the one that a handshake gave and no callout has used yet.
    secret text,
    next_secret text,
    paused boolean NOT NULL DEFAULT false,
    -- The fields whose update is worth a callout: {"Lead": ["Status"]}.
    conditions jsonb NOT NULL DEFAULT '{}',
    conditions_version integer NOT NULL DEFAULT 1,
    instance_url text,
    is_sandbox boolean,
    package_version text,
    created_at timestamptz NOT NULL DEFAULT now(),
    connected_at timestamptz
);

CREATE FUNCTION penstock_tell_org_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY penstock_org;
    RETURN NULL;
END $$;

CREATE TRIGGER org_changed AFTER INSERT OR UPDATE OR DELETE ON org
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_tell_org_changed();

-- The history: every change, once. A capture's time is part of its identity, so that the key
-- can lead with the partition's column and inserts stay at the right edge of the index.
CREATE TABLE change (
    captured_at bigint NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    org_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    sequence integer NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C",
    callout_id text COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    persisted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The record's JSON as Apex wrote it, to the byte.
    old text COMPRESSION lz4,
    new text COMPRESSION lz4,
    PRIMARY KEY (captured_at, capture_id, record_id, org_id)
) PARTITION BY RANGE (captured_at);

CREATE INDEX change_by_record ON change (org_id, record_id, captured_at);

-- Attaching takes a weaker lock on the history than creating a partition of it does.
CREATE FUNCTION penstock_make_partition(from_ms bigint, to_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'change_' || to_char(to_timestamp(from_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE change INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE change ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, from_ms, to_ms);
END $$;

-- The newest state of each record; a deleted one stays as a tombstone with its last state.
CREATE TABLE record (
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    deleted boolean NOT NULL,
    -- Masked where JSONB cannot hold a character (pipeline.json_text).
    fields jsonb COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (org_id, record_id)
) WITH (fillfactor = 85);

-- Every version of every rule; at most one version of a rule is active.
CREATE TABLE rule (
    org_id text COLLATE "C" NOT NULL REFERENCES org,
    rule text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    object text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'superseded', 'disabled')),
    source text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, rule, version)
);

CREATE UNIQUE INDEX rule_active ON rule (org_id, rule) WHERE state = 'active';

-- What workers hold of rules and orgs is of this epoch. They look at it in each transaction, so
-- a rule that is committed before a change is evaluated decides it, without a notification.
CREATE TABLE rule_epoch (epoch bigint NOT NULL);
INSERT INTO rule_epoch VALUES (1);

CREATE FUNCTION penstock_next_rule_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rule_epoch SET epoch = epoch + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER rule_changed AFTER INSERT OR UPDATE OR DELETE ON rule
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_next_rule_epoch();
CREATE TRIGGER org_sync_user_changed AFTER INSERT OR DELETE OR UPDATE OF sync_user_id ON org
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_next_rule_epoch();

-- A rule that matched a change. Unique per transaction, since a workflow's field update fires
-- triggers again with the same old values; of the captures that match, the first in order counts.
CREATE TABLE firing (
    firing_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    rule_version integer NOT NULL,
    object text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    -- The values that made each condition true.
    evidence jsonb NOT NULL,
    fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (org_id, transaction_id, record_id, rule)
);

-- A recipient in a sequence: the fold of its events.
CREATE TABLE enrollment (
    enrollment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    sequence text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'active', 'exited', 'finished', 'failed')),
    -- How many times the recipient was added so far.
    generation integer NOT NULL,
    -- The firing that decided.
    firing_id bigint,
    variables jsonb NOT NULL DEFAULT '{}',
    enrolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (org_id, sequence, recipient)
);

-- What the fold reads: each add that a firing caused, in the order of its change.
CREATE TABLE enrollment_event (
    firing_id bigint NOT NULL REFERENCES firing,
    action integer NOT NULL,
    org_id text COLLATE "C" NOT NULL,
    sequence text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    re_enroll text NOT NULL,
    variables jsonb NOT NULL,
    PRIMARY KEY (firing_id, action)
);

CREATE INDEX enrollment_event_by_recipient ON enrollment_event (org_id, sequence, recipient);

-- What the relay has to tell the target, written with the enrolment that it tells of.
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enrollment_id bigint NOT NULL REFERENCES enrollment,
    generation integer NOT NULL,
    target text NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL UNIQUE,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'delivered', 'failed', 'superseded')),
    attempts integer NOT NULL DEFAULT 0,
    -- When the row may be claimed (again); the lease's fence is the attempt that took it.
    due_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz
);

CREATE UNIQUE INDEX outbox_by_enrollment ON outbox (enrollment_id, generation);
CREATE INDEX outbox_open ON outbox (due_at) WHERE state = 'open';
CREATE INDEX outbox_open_by_recipient ON outbox (target, recipient, outbox_id)
    WHERE state = 'open';

-- Changes that can never succeed, with the bytes that say why.
CREATE TABLE dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    error text NOT NULL,
    -- A callout of this one change, in the contract's form.
    original bytea NOT NULL,
    callout_id text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    received_at bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    dead_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, capture_id, record_id)
);

-- A change that was delivered three times is tried alone, after a mark that a crash leaves.
CREATE TABLE delivery_try (
    org_id text COLLATE "C" NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    tried_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, capture_id, record_id)
);
