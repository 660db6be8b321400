-- apply: concurrently
-- What hourly upkeep clears away is found by these, however much stays.

CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_calls_settled ON outbox (settled_at)
    WHERE kind = 'call' AND settled_at IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS waiting_settled ON waiting (settled_at)
    WHERE state <> 'waiting';
CREATE INDEX CONCURRENTLY IF NOT EXISTS reevaluation_failed ON reevaluation (served_at)
    WHERE stage = 'failed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS request_settled ON request (settled_at)
    WHERE state <> 'open';
