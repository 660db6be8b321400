-- Enrolments to their end: exits, records that end, brakes, suppression, several targets.

-- What re-evaluated the record, when that was another record's change: it is the change whose
-- order and transaction the firing has.
ALTER TABLE firing ADD COLUMN cause_record_id text COLLATE "C";

-- Events carry what orders them, so that a fold reads one index in order. `exit` has no variables.
ALTER TABLE enrollment_event
    ADD COLUMN kind text NOT NULL DEFAULT 'add' CHECK (kind IN ('add', 'exit')),
    ADD COLUMN captured_at bigint,
    ADD COLUMN capture_sequence integer,
    ADD COLUMN capture_id text COLLATE "C",
    ADD COLUMN rule text COLLATE "C",
    ADD COLUMN record_id text COLLATE "C",
    -- Of an add: how many enrolments an hour its rule may make before they are held.
    ADD COLUMN ceiling integer,
    ALTER COLUMN re_enroll DROP NOT NULL,
    ALTER COLUMN variables SET DEFAULT '{}';
UPDATE enrollment_event AS event
    SET captured_at = firing.captured_at, capture_sequence = firing.sequence,
        capture_id = firing.capture_id, rule = firing.rule, record_id = firing.record_id,
        ceiling = 1000
    FROM firing WHERE firing.firing_id = event.firing_id;
ALTER TABLE enrollment_event
    ALTER COLUMN captured_at SET NOT NULL, ALTER COLUMN capture_sequence SET NOT NULL,
    ALTER COLUMN capture_id SET NOT NULL, ALTER COLUMN rule SET NOT NULL,
    ALTER COLUMN record_id SET NOT NULL;
DROP INDEX enrollment_event_by_recipient;
CREATE INDEX enrollment_event_in_order ON enrollment_event
    (org_id, sequence, recipient, captured_at, capture_sequence, capture_id, rule, action,
     record_id);
CREATE INDEX enrollment_event_by_record ON enrollment_event (org_id, record_id);

-- Every generation up to `exited_generation` is over. How far the fold has read (`folded_*`), so
-- that an event in order costs the same however many came before; `reason` says in a few words why
-- the state is what it is. `held` waits to be released.
ALTER TABLE enrollment
    DROP CONSTRAINT enrollment_state_check,
    ADD CONSTRAINT enrollment_state_check
        CHECK (state IN ('pending', 'held', 'active', 'exited', 'finished', 'failed')),
    ADD COLUMN reason text,
    ADD COLUMN exited_generation integer NOT NULL DEFAULT 0,
    ADD COLUMN folded_captured_at bigint,
    ADD COLUMN folded_sequence integer,
    ADD COLUMN folded_capture_id text COLLATE "C";

-- A record that ceased to be itself: deleted, merged into another, converted into a contact.
CREATE TABLE record_end (
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('deleted', 'merged', 'converted')),
    successor_id text COLLATE "C",
    -- Until every transaction that could have missed this end is over, sweeps look again.
    horizon xid8,
    swept_at timestamptz,
    settled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (org_id, record_id, captured_at, sequence, capture_id)
);
-- Sweeps bring the enrolments of records that ended before into line.
INSERT INTO record_end
    SELECT org_id, record_id, captured_at, sequence, capture_id,
           CASE WHEN coalesce(fields ->> 'MasterRecordId', '') = '' THEN 'deleted' ELSE 'merged' END,
           nullif(fields ->> 'MasterRecordId', '')
    FROM record WHERE deleted;
CREATE INDEX record_end_by_successor ON record_end (org_id, successor_id)
    WHERE successor_id IS NOT NULL;
CREATE INDEX record_end_unsettled ON record_end (swept_at NULLS FIRST) WHERE NOT settled;

-- Who asked not to be mailed, or cannot be, by the newest state of each Lead and Contact.
CREATE TABLE opt_out (
    org_id text COLLATE "C" NOT NULL,
    record_id text COLLATE "C" NOT NULL,
    address text COLLATE "C",
    opted_out boolean NOT NULL,
    bounced boolean NOT NULL,
    captured_at bigint NOT NULL,
    sequence integer NOT NULL,
    capture_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, record_id)
);
-- Names as Salesforce writes them; addresses as `rules.recipient` has them.
INSERT INTO opt_out
    SELECT org_id, record_id, lower(btrim(fields ->> 'Email')),
           coalesce(fields ->> 'HasOptedOutOfEmail', '') = 'true',
           coalesce(fields ->> 'EmailBouncedDate', '') <> '', captured_at, sequence, capture_id
    FROM record
    WHERE object IN ('Lead', 'Contact')
      AND (fields ->> 'HasOptedOutOfEmail' = 'true' OR fields ->> 'EmailBouncedDate' <> '');
CREATE INDEX opt_out_by_address ON opt_out (org_id, address) WHERE opted_out OR bounced;

-- Whom nothing is sent to: an address or a domain with all below it, of one org or ('') of all.
-- Domains are kept as DNS has them (punycode), lower case.
CREATE TABLE suppression (
    org_id text COLLATE "C" NOT NULL DEFAULT '',
    value text COLLATE "C" NOT NULL,
    reason text,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (value, org_id)
);

-- How many enrolments a rule made in a clock hour (Unix time / 3600).
CREATE TABLE rule_hour (
    org_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    hour bigint NOT NULL,
    enrolled_count integer NOT NULL,
    PRIMARY KEY (org_id, rule, hour)
);

-- How many additions to a sequence were sent on a day of the org's time zone.
CREATE TABLE sequence_day (
    org_id text COLLATE "C" NOT NULL,
    sequence text COLLATE "C" NOT NULL,
    day date NOT NULL,
    sent_count integer NOT NULL,
    PRIMARY KEY (org_id, sequence, day)
);

-- `add` and `exit` tell of an enrolment's generation, `call` is a rule's own webhook: its firing,
-- the place among the rule's actions, and the payload as it stood. `recipient` is what rows are
-- kept in order by: an address, or the record of a call. `target` is 'webhook', 'mixmax' or, for a
-- call, the URL.
ALTER TABLE outbox
    ALTER COLUMN enrollment_id DROP NOT NULL,
    ALTER COLUMN generation DROP NOT NULL,
    DROP CONSTRAINT outbox_state_check,
    ADD CONSTRAINT outbox_state_check CHECK (state IN
        ('open', 'held', 'delivered', 'failed', 'suppressed', 'superseded')),
    ADD COLUMN kind text NOT NULL DEFAULT 'add' CHECK (kind IN ('add', 'exit', 'call')),
    ADD COLUMN org_id text COLLATE "C",
    ADD COLUMN sequence text COLLATE "C",
    ADD COLUMN rule text COLLATE "C",
    ADD COLUMN firing_id bigint REFERENCES firing,
    ADD COLUMN action integer,
    ADD COLUMN payload jsonb;
UPDATE outbox SET org_id = enrollment.org_id, sequence = enrollment.sequence
    FROM enrollment WHERE enrollment.enrollment_id = outbox.enrollment_id;
ALTER TABLE outbox ALTER COLUMN org_id SET NOT NULL;
DROP INDEX outbox_by_enrollment;
CREATE UNIQUE INDEX outbox_by_enrollment ON outbox (enrollment_id, generation, kind);
CREATE INDEX outbox_held ON outbox (org_id, rule) WHERE state = 'held';
CREATE INDEX outbox_calls_by_record ON outbox (org_id, rule, recipient, created_at)
    WHERE kind = 'call';

-- What the relay is not to do: nothing at all ('all'), or nothing to one target.
CREATE TABLE relay_stop (
    target text NOT NULL PRIMARY KEY,
    reason text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now()
);
