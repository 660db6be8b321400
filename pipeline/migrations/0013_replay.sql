-- Changes that the rules are asked about again, and changes that came to a worker more than once.

-- The run (0011) that sent a stored change through the rules again; null where none did.
ALTER TABLE firing ADD COLUMN run_id bigint;
CREATE INDEX firing_by_run ON firing (run_id) WHERE run_id IS NOT NULL;
ALTER TABLE waiting ADD COLUMN run_id bigint;

-- A replay may be limited to some rules; null stands for all.
ALTER TABLE reevaluation ADD COLUMN run_id bigint, ADD COLUMN rules text[] COLLATE "C";
DO $$
DECLARE
    name text;
BEGIN
    SELECT conname INTO STRICT name FROM pg_constraint
    WHERE conrelid = 'reevaluation'::regclass AND contype = 'u';
    EXECUTE format('ALTER TABLE reevaluation DROP CONSTRAINT %I', name);
END $$;
ALTER TABLE reevaluation ADD CONSTRAINT reevaluation_once UNIQUE NULLS NOT DISTINCT
    (org_id, record_id, captured_at, capture_id, object, way, depth, parent_id, child_object,
     run_id);

-- A change that the broker handed to a worker again, or that a run published again: how often it
-- was handed over, when last, and by which run. Most changes have no row.
CREATE TABLE redelivery (
    captured_at bigint NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    org_id text COLLATE "C" NOT NULL,
    delivery_count integer NOT NULL,
    delivered_at timestamptz NOT NULL,
    run_id bigint,
    PRIMARY KEY (captured_at, capture_id, record_id, org_id)
);
