-- The owner of Penstock's database, its roles, a user in each, and who replicates. Run it once, as a
-- superuser (or one who may create roles and databases), in any database; then
--   CREATE DATABASE penstock OWNER penstock;
-- give each user a password (\password ingest), and run `penstock migrate` as penstock: it grants each
-- role its share (deploy/reference.md, "Database roles").

-- Owns the tables: migrates, drops what is older than the retention, erases people.
CREATE ROLE penstock LOGIN;

CREATE ROLE penstock_ingest NOLOGIN;
CREATE ROLE penstock_worker NOLOGIN;
CREATE ROLE penstock_relay NOLOGIN;
CREATE ROLE penstock_console NOLOGIN;
CREATE ROLE penstock_operator NOLOGIN;

-- No password yet: none of them can log in by one.
CREATE ROLE ingest LOGIN IN ROLE penstock_ingest;
CREATE ROLE worker LOGIN IN ROLE penstock_worker;
CREATE ROLE relay LOGIN IN ROLE penstock_relay;
CREATE ROLE console LOGIN IN ROLE penstock_console;
CREATE ROLE operator LOGIN IN ROLE penstock_operator;

-- `penstock doctor` looks at standbys and long transactions.
GRANT pg_monitor TO operator;

CREATE ROLE replicator LOGIN REPLICATION;
