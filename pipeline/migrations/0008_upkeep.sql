-- What healing leaves behind is cleared away as the history is.

CREATE INDEX gap_settled ON gap (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX audit_settled ON audit (settled_at) WHERE state = 'done';
CREATE INDEX request_loads ON request (org_id, object, request_id) WHERE kind = 'load';
CREATE INDEX request_by_audit ON request (audit_id) WHERE audit_id IS NOT NULL;
-- Ingest tells walks that they are withdrawn.
CREATE INDEX request_withdrawn ON request (settled_at) WHERE state = 'withdrawn';

-- The next ones to ask for are looked up, however many there are.
DROP INDEX audit_finding_unasked;
CREATE INDEX audit_finding_unasked ON audit_finding (audit_id, object, record_id)
    WHERE request_id IS NULL AND healed_at IS NULL;
