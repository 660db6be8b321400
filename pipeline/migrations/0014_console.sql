-- Who may sign in to the console, and what its pages read by.

-- A token is shown once, when it is added: what is kept tells only whether one is the same. A name
-- may be given again once its token is revoked; who did what keeps the name.
CREATE TABLE console_token (
    token_id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text NOT NULL CHECK (role IN ('view', 'operate')),
    hash bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
CREATE UNIQUE INDEX console_token_standing ON console_token (name) WHERE revoked_at IS NULL;

-- A rule's newest firings, and how many there are of today.
CREATE INDEX firing_by_rule ON firing (org_id, rule, fired_at);
-- An org's newest enrolments, in pages.
CREATE INDEX enrollment_by_org ON enrollment (org_id, enrollment_id);
