-- Rules that look up other records: what waits for a parent, who refers to whom, and what a
-- parent's change makes matter again. Sweeps (`workers.lookups`) bring all of it to its end.
--
-- A `horizon` is a transaction id drawn after what it guards was committed. Once every transaction
-- before it is over, nobody is left who could have missed that.

-- Volatile, and asked in RETURNING: the epoch is read with a snapshot of its own after the first
-- row gave the transaction its id, so that a transaction that judges by older rules is before the
-- horizon of whoever has seen newer ones.
CREATE FUNCTION penstock_rule_epoch() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT epoch FROM rule_epoch';

-- A rule that cannot judge a change before one of `parents` is synced. What has come to its end
-- without a verdict stays, to be explained.
CREATE TABLE waiting (
    waiting_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    rule_version integer NOT NULL,
    object text COLLATE "C" NOT NULL,
    -- What re-evaluated the record, when that was another record's change: the capture is its.
    cause_record_id text COLLATE "C",
    parents text[] COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'expired', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    error text,
    waiting_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    settled_at timestamptz,
    UNIQUE (org_id, record_id, captured_at, capture_id, rule)
);
CREATE INDEX waiting_open ON waiting (waiting_id) WHERE state = 'waiting';

-- A record that refers, or once referred, to another. Only what rules climb is kept; whoever reads
-- it looks at the child itself. Field names are in lower case, here and below.
CREATE TABLE reference (
    org_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    child_object text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    child_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, parent_id, child_object, field, child_id)
);

-- The reference fields that rules climb. One is ready once records that were there before it have
-- their rows in `reference` as well: `cursor` is the last record that was looked at.
CREATE TABLE traversal (
    org_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    horizon xid8 NOT NULL,
    cursor text COLLATE "C" NOT NULL DEFAULT '',
    ready boolean NOT NULL DEFAULT false,
    PRIMARY KEY (org_id, object, field)
);
CREATE INDEX traversal_unready ON traversal (org_id) WHERE NOT ready;

-- A parent's change (record_id, captured_at, capture_id) that makes rules of `object` matter again
-- for its descendants. The way leads up from them by the reference fields `way`; of these, `depth`
-- lie between them and `parent_id`, whose children of `child_object` are paged through by id.
--
-- A pass that began before the horizon was reached (`early`) is followed by another one (`final`).
CREATE TABLE reevaluation (
    reevaluation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    way text[] COLLATE "C" NOT NULL,
    depth integer NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    child_object text COLLATE "C" NOT NULL,
    cursor text COLLATE "C" NOT NULL DEFAULT '',
    stage text NOT NULL DEFAULT 'new'
        CHECK (stage IN ('new', 'early', 'waiting', 'final', 'failed')),
    horizon xid8,
    seen_at timestamptz,
    served_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    error text,
    UNIQUE (org_id, record_id, captured_at, capture_id, object, way, depth, parent_id, child_object)
);
CREATE INDEX reevaluation_in_turn ON reevaluation (served_at) WHERE stage <> 'failed';
CREATE INDEX reevaluation_unseen ON reevaluation (reevaluation_id) WHERE horizon IS NULL;
