-- What Penstock keeps of a change, without what only Penstock can do.
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
    old text COMPRESSION lz4,
    new text COMPRESSION lz4,
    PRIMARY KEY (captured_at, capture_id, record_id, org_id)
);
CREATE INDEX ON change (org_id, record_id, captured_at);
CREATE TABLE record (
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    fields jsonb COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (org_id, record_id)
);
CREATE TABLE enrollment (
    org_id text COLLATE "C" NOT NULL,
    sequence text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, sequence, recipient)
);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text NOT NULL,
    sequence text NOT NULL,
    recipient text NOT NULL
);
