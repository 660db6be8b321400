-- Relays are told of new rows as they are committed, and need not look for them.
CREATE FUNCTION penstock_tell_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY penstock_outbox;
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_told AFTER INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION penstock_tell_outbox();
