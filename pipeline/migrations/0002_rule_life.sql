-- The life of rules, the sequences that they name, and what is known of an org's fields.

-- Dates in rules count in the org's time zone. `watched` is what an admin adds to what the active
-- rules read: {"Lead": ["Rating"]}.
ALTER TABLE org
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN watched jsonb NOT NULL DEFAULT '{}';

-- What workers hold of an org is of the epoch (0001): its time zone decides dates.
DROP TRIGGER org_sync_user_changed ON org;
CREATE TRIGGER org_ruling_changed AFTER INSERT OR DELETE OR UPDATE OF sync_user_id, time_zone ON org
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_next_rule_epoch();

-- Which fields were watched when.
CREATE TABLE conditions_span (
    org_id text COLLATE "C" NOT NULL,
    conditions_version integer NOT NULL,
    conditions jsonb NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (org_id, conditions_version)
);

CREATE FUNCTION penstock_keep_conditions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO conditions_span (org_id, conditions_version, conditions)
    VALUES (NEW.org_id, NEW.conditions_version, NEW.conditions) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER conditions_changed AFTER INSERT OR UPDATE OF conditions ON org
    FOR EACH ROW EXECUTE FUNCTION penstock_keep_conditions();
INSERT INTO conditions_span (org_id, conditions_version, conditions)
    SELECT org_id, conditions_version, conditions FROM org;

-- A rule that was left out of what was applied is removed; its versions stay.
ALTER TABLE rule DROP CONSTRAINT rule_state_check,
    ADD CONSTRAINT rule_state_check CHECK (state IN ('active', 'superseded', 'disabled', 'removed'));

-- One version of each rule counts, whatever its state; all others are superseded.
CREATE UNIQUE INDEX rule_current ON rule (org_id, rule) WHERE state <> 'superseded';

-- When which version decided: what `explain` asks about the past.
CREATE TABLE rule_span (
    org_id text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    active_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    active_until timestamptz,
    PRIMARY KEY (org_id, rule, active_from)
);

CREATE FUNCTION penstock_keep_rule_span() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'active' AND NEW.state <> 'active' THEN
        UPDATE rule_span SET active_until = clock_timestamp()
        WHERE org_id = OLD.org_id AND rule = OLD.rule AND active_until IS NULL;
    ELSIF NEW.state = 'active' AND (TG_OP = 'INSERT' OR OLD.state <> 'active') THEN
        INSERT INTO rule_span (org_id, rule, version) VALUES (NEW.org_id, NEW.rule, NEW.version);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER rule_span_changed AFTER INSERT OR UPDATE OF state ON rule
    FOR EACH ROW EXECUTE FUNCTION penstock_keep_rule_span();
INSERT INTO rule_span (org_id, rule, version, active_from)
    SELECT org_id, rule, version, applied_at FROM rule WHERE state = 'active';

-- How the relay treats a sequence; one without a row has the defaults.
CREATE TABLE sequence (
    org_id text COLLATE "C" NOT NULL REFERENCES org,
    sequence text COLLATE "C" NOT NULL,
    target text NOT NULL DEFAULT 'webhook' CHECK (target IN ('webhook', 'mixmax')),
    target_id text,
    daily_cap integer,
    quiet_from time,
    quiet_until time,
    quiet_time_zone text,
    send_to_opted_out boolean NOT NULL DEFAULT false,
    enrich boolean NOT NULL DEFAULT false,
    allow_missing_variables boolean NOT NULL DEFAULT false,
    -- An operator's switch; applying the document leaves it as it is.
    paused boolean NOT NULL DEFAULT false,
    -- The document, or null where an operator only paused the sequence.
    source text,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, sequence)
);

-- What an org's own description says of an object's fields, as `rules.checks.catalog` writes it.
CREATE TABLE described_object (
    org_id text COLLATE "C" NOT NULL REFERENCES org,
    object text COLLATE "C" NOT NULL,
    fields jsonb NOT NULL,
    described_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, object)
);
