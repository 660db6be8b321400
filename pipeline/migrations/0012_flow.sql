-- What processes count of the flow, told every few seconds, for the flow page and `penstock flow`.
--
-- Unlogged: a crash of the server empties these tables, and within seconds every process tells anew.
-- Nothing is decided by them, so nothing is worth their share of the log.

-- A process that runs, or ran within the last hours. One that has not told for long is gone.
CREATE UNLOGGED TABLE process (
    process_id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('ingest', 'worker', 'relay', 'console')),
    host text NOT NULL,
    pid integer NOT NULL,
    -- Of a worker: the objects whose queues it consumes.
    objects text[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    told_at timestamptz NOT NULL DEFAULT now(),
    -- It drained.
    ended_at timestamptz
);

-- What a process counted in a minute of this server's clock, by object; '' is what is of no object.
CREATE UNLOGGED TABLE tally (
    process_id text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    -- Ingest: callouts taken in, refused, and put off with Retry-After; changes confirmed.
    callout_count bigint NOT NULL,
    refused_count bigint NOT NULL,
    put_off_count bigint NOT NULL,
    accepted_count bigint NOT NULL,
    -- Workers: deliveries settled, changes committed, dead letters, firings, time with a batch under
    -- way, and the times from a callout's arrival to its commit.
    delivery_count bigint NOT NULL,
    committed_count bigint NOT NULL,
    dead_count bigint NOT NULL,
    fired_count bigint NOT NULL,
    busy_ms bigint NOT NULL,
    commit_latency bigint[] NOT NULL,
    -- The relay: rows that a target took, refused, and did not take yet; times from commit to then.
    sent_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    held_count bigint NOT NULL,
    send_latency bigint[] NOT NULL,
    -- Of a worker when it last told: deliveries it holds, and since when at most (Unix ms) what
    -- waits in the queue has waited.
    in_hand_count integer,
    waits_since bigint,
    PRIMARY KEY (minute, process_id, object)
);

-- The buckets of two latencies, place by place.
CREATE FUNCTION penstock_sum(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE
    AS $$
    SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place)
    FROM unnest(one, other) WITH ORDINALITY AS pair (a, b, place)
$$;
