-- Changes that were lost before they left Salesforce: the next change of the record shows them.

-- A change whose `old` is not what was stored before it. What came between the two may be on its
-- way or parked: the gap is suspected until it was filled, or confirmed because nothing filled it.
CREATE TABLE gap (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    -- The order of the change, and that of the state which was stored before it: the span.
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    stored_at bigint NOT NULL,
    stored_sequence integer NOT NULL,
    stored_capture_id text COLLATE "C" NOT NULL,
    stored_transaction_id text COLLATE "C",
    -- The record as it was stored, masked as in `record`; needed no more once the gap is settled.
    stored jsonb COMPRESSION lz4,
    -- What differs, masked: {"Status": [what was stored, what `old` told]}.
    fields jsonb NOT NULL,
    state text NOT NULL DEFAULT 'suspected'
        CHECK (state IN ('suspected', 'filled', 'confirmed', 'failed')),
    suspected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When it is looked at (again).
    due_at timestamptz NOT NULL,
    settled_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    UNIQUE (org_id, record_id, captured_at, capture_id)
);
CREATE INDEX gap_due ON gap (due_at) WHERE state = 'suspected';
CREATE INDEX gap_confirmed ON gap (org_id, record_id, captured_at) WHERE state = 'confirmed';

-- Digests of the watched fields: as the last change left them, and as it said that it found them.
-- Nearly every change found what the last one left, which is known without a look at the fields.
-- Null: not known, or not to be compared.
ALTER TABLE record
    ADD COLUMN watched_before bigint,
    ADD COLUMN watched_after bigint;

-- What workers hold of watched fields and of their types is of the epoch (0001).
CREATE TRIGGER org_conditions_changed AFTER UPDATE OF conditions ON org
    FOR EACH ROW WHEN (OLD.conditions IS DISTINCT FROM NEW.conditions)
    EXECUTE FUNCTION penstock_next_rule_epoch();
CREATE TRIGGER object_described AFTER INSERT OR UPDATE OR DELETE ON described_object
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_next_rule_epoch();
