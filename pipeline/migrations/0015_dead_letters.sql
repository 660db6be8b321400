-- What a run replayed and what of it came back; what retention clears away.
CREATE INDEX dead_letter_by_run ON dead_letter (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX dead_letter_settled ON dead_letter (settled_at) WHERE state <> 'open';
