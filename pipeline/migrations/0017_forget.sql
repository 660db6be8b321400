-- People who asked to be forgotten: what is left of them is that they are.

-- A forgotten record (`mark` is its id) or address (`mark` is its keyed hash, below). What comes of
-- either is dropped: of a record always, of an address if it was captured up to `until` (Unix ms;
-- null for always).
CREATE TABLE tombstone (
    org_id text COLLATE "C" NOT NULL,
    mark text COLLATE "C" NOT NULL,
    until bigint,
    -- Part of the idempotency keys of whoever is enrolled anew.
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id bigint REFERENCES bulk_run,
    PRIMARY KEY (org_id, mark)
);
CREATE INDEX tombstone_by_run ON tombstone (run_id);

-- What workers hold of tombstones is of the epoch (0001).
CREATE TRIGGER tombstone_changed AFTER INSERT OR UPDATE OR DELETE ON tombstone
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_next_rule_epoch();

-- The key of the hashes. Without it, whoever has a dump of this table alone can test no address.
CREATE TABLE tombstone_key (secret bytea NOT NULL);
INSERT INTO tombstone_key
    SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

-- Addresses are given as `rules.recipient` or the suppression list have them.
CREATE FUNCTION penstock_address_mark(org_id text, address text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT 'address:' || encode(sha256(secret || sha256(secret
        || convert_to(org_id || ' ' || address, 'UTF8'))), 'hex') FROM tombstone_key
$$;

-- The addresses of a run (0011) that forgets somebody, for as long as it is not over.
CREATE TABLE forgetting (
    run_id bigint PRIMARY KEY REFERENCES bulk_run,
    addresses text[] COLLATE "C" NOT NULL
);

CREATE FUNCTION penstock_end_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM forgetting WHERE run_id = NEW.run_id;
    RETURN NULL;
END $$;

CREATE TRIGGER forgetting_over AFTER UPDATE OF state ON bulk_run FOR EACH ROW
    WHEN (NEW.kind = 'forget' AND NEW.state IN ('cancelled', 'finished'))
    EXECUTE FUNCTION penstock_end_forgetting();

-- contract: says which kinds there are, to nobody but the version that has one more
ALTER TABLE bulk_run DROP CONSTRAINT bulk_run_kind_check;
ALTER TABLE bulk_run ADD CONSTRAINT bulk_run_kind_check CHECK (kind IN (
    'dead_replay', 'dead_discard', 'history_replay', 'callout_replay', 'forget')) NOT VALID;
