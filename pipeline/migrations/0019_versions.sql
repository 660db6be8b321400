-- Which versions run, and which can run on this database.

-- The release, and the newest migration that the process knows; null before this one.
ALTER TABLE process ADD COLUMN version text, ADD COLUMN knows_migration integer;

-- Of a migration that took something away: processes that know none from this one on may use it.
ALTER TABLE schema_migration ADD COLUMN unused_since integer;
