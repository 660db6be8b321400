from __future__ import annotations

from typing import Final

import pytest

from pipeline.database.apply import parse
from pipeline.database.schema import migrations
from tests.migration_rules import objections, tables_made

# Those before it were applied while nobody used Penstock.
FIRST_ONLINE: Final = 16


def test_numbers_are_contiguous() -> None:
    assert sorted(migrations()) == list(range(1, len(migrations()) + 1))


def test_migrations_block_nobody_and_let_the_version_before_run() -> None:
    tables: set[str] = set()
    found: dict[int, list[str]] = {}
    for number, migration in sorted(migrations().items()):
        if number >= FIRST_ONLINE:
            found[number] = objections(migration, tables)
        tables |= tables_made(migration.sql)
    assert {number: problems for number, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE record ADD COLUMN at timestamptz DEFAULT clock_timestamp();",
        "ALTER TABLE record ADD COLUMN a text, ADD COLUMN b uuid NOT NULL DEFAULT random();",
        "ALTER TABLE record ADD COLUMN note text NOT NULL;",
        "ALTER TABLE record ADD COLUMN note text CHECK (note <> '');",
        "ALTER TABLE record ALTER COLUMN object SET NOT NULL;",
        "ALTER TABLE record ALTER object SET NOT NULL;",
        "ALTER TABLE record ADD CONSTRAINT checked CHECK (object <> '');",
        "ALTER TABLE record ADD CHECK (object <> '');",
        "ALTER TABLE record ADD UNIQUE (capture_id);",
        "ALTER TABLE record ALTER COLUMN sequence TYPE bigint;",
        "ALTER TABLE record ALTER sequence SET DATA TYPE bigint;",
        "ALTER TABLE record RENAME COLUMN fields TO state;",
        "ALTER TABLE record DROP COLUMN fields;",
        "ALTER TABLE record DROP CONSTRAINT record_pkey;",
        "ALTER TABLE record SET UNLOGGED;",
        "DROP TABLE record;",
        "DROP INDEX change_by_record;",
        "CREATE INDEX record_by_object ON record (object);",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS record_by_object ON record (object);",
        "-- apply: concurrently\nCREATE INDEX CONCURRENTLY record_by_object ON record (object);",
        "-- apply: concurrently\nCREATE TABLE new ();",
        "UPDATE record SET deleted = false;",
        "-- apply: in batches\nUPDATE record SET deleted = false WHERE deleted;",
        "-- apply: in batches\nDELETE FROM record LIMIT 10;\nDELETE FROM record LIMIT 10;",
        "-- contract: unused since 0016\nDROP TABLE record;\nCREATE TABLE new ();",
        "-- contract: unused since 0099\nDROP TABLE record;",
        "LOCK TABLE record;",
        "REINDEX TABLE record;",
    ],
)
def test_what_blocks_or_takes_something_away_is_refused(sql: str) -> None:
    assert objections(parse(99, f"{sql}\n"), {"record"}) != []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE new (id bigint PRIMARY KEY);\nCREATE INDEX new_by_id ON new (id);",
        "ALTER TABLE record ADD COLUMN note text, ADD COLUMN tries integer NOT NULL DEFAULT 0;",
        "ALTER TABLE record ADD COLUMN seen_at timestamptz DEFAULT now();",
        "ALTER TABLE record ADD CONSTRAINT checked CHECK (object <> '') NOT VALID;",
        "ALTER TABLE record VALIDATE CONSTRAINT checked;",
        "-- checked by: checked\nALTER TABLE record ALTER COLUMN object SET NOT NULL;",
        "-- contract: unused since 0016\nALTER TABLE record DROP COLUMN watched_before;",
        "ALTER TABLE record ALTER COLUMN fields DROP NOT NULL;",
        """-- apply: concurrently
        CREATE INDEX CONCURRENTLY IF NOT EXISTS record_by_object ON record (object);""",
        """-- apply: in batches
        UPDATE record SET deleted = false
        WHERE record_id IN (SELECT record_id FROM record WHERE deleted LIMIT 1000);""",
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE record SET deleted = true;
            RETURN NULL;
        END $$;""",
    ],
)
def test_what_blocks_nobody_is_let_through(sql: str) -> None:
    assert objections(parse(99, f"{sql}\n"), {"record"}) == []
