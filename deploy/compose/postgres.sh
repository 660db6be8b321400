#!/bin/sh
# Run by the image when it makes a new database cluster, and never again: users, passwords, the database.
set -eu

psql --quiet --set ON_ERROR_STOP=1 --username postgres --file /deploy/postgres/roles.sql postgres
# From the environment, not as arguments, which every process could see.
psql --quiet --set ON_ERROR_STOP=1 --username postgres postgres <<'SQL'
\getenv owner OWNER_PASSWORD
\getenv ingest INGEST_PASSWORD
\getenv worker WORKER_PASSWORD
\getenv relay RELAY_PASSWORD
\getenv console CONSOLE_PASSWORD
\getenv operator OPERATOR_PASSWORD
ALTER ROLE penstock PASSWORD :'owner';
ALTER ROLE ingest PASSWORD :'ingest';
ALTER ROLE worker PASSWORD :'worker';
ALTER ROLE relay PASSWORD :'relay';
ALTER ROLE console PASSWORD :'console';
ALTER ROLE operator PASSWORD :'operator';
CREATE DATABASE penstock OWNER penstock;
SQL
