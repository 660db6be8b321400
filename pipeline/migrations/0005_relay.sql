-- What the relay keeps of an outbox row between claims, and the indexes that claims walk.

-- `delayed_for`: quiet hours or a full day put the row off; other sequences do not wait for it.
-- `unanswered`: the target may have acted on an earlier attempt, whose answer nobody knows.
ALTER TABLE outbox
    ADD COLUMN delayed_for text CHECK (delayed_for IN ('quiet_hours', 'daily_cap')),
    ADD COLUMN unanswered boolean NOT NULL DEFAULT false;

-- A line is one target's open rows of one sequence, the longest due first. A claim steps from line
-- to line, so that a line that is paused or stopped costs one step, however long it is.
DROP INDEX outbox_open;
CREATE INDEX outbox_open ON outbox (target, org_id, (coalesce(sequence, '')), due_at, outbox_id)
    WHERE state = 'open';

-- What a recipient's row may have to wait for.
DROP INDEX outbox_open_by_recipient;
CREATE INDEX outbox_waiting_by_recipient ON outbox (target, recipient, outbox_id)
    WHERE state IN ('open', 'held');

-- Who gives a sequence another cap or other quiet hours need not wait for the end of the old ones.
CREATE FUNCTION penstock_end_delays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbox SET due_at = now(), delayed_for = NULL
    WHERE state = 'open' AND delayed_for IS NOT NULL
      AND org_id = OLD.org_id AND sequence = OLD.sequence;
    RETURN NULL;
END $$;

CREATE TRIGGER sequence_treated_otherwise AFTER UPDATE ON sequence FOR EACH ROW
    WHEN ((OLD.daily_cap, OLD.quiet_from, OLD.quiet_until, OLD.quiet_time_zone)
          IS DISTINCT FROM (NEW.daily_cap, NEW.quiet_from, NEW.quiet_until, NEW.quiet_time_zone))
    EXECUTE FUNCTION penstock_end_delays();
CREATE TRIGGER sequence_treated_by_default AFTER DELETE ON sequence FOR EACH ROW
    EXECUTE FUNCTION penstock_end_delays();
