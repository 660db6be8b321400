from __future__ import annotations

from pipeline.database.schema import migrations
from tests.migration_rules import tables_made
from workers.upkeep import RULES


def test_every_table_says_what_becomes_of_its_rows() -> None:
    tables = {name for one in migrations().values() for name in tables_made(one.sql)}
    assert tables | {"schema_migration"} == RULES.keys()
