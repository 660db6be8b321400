"""PostgreSQL: the pool, the migrations and the partitions of the history."""

from pipeline.database.apply import MigrationHeld
from pipeline.database.following import Following
from pipeline.database.hosts import DATABASE_ERRORS, Hosts
from pipeline.database.migrate import migrate
from pipeline.database.partitions import drop_partitions, ensure_partitions, window
from pipeline.database.pool import Connection, Pool, open_pool
from pipeline.database.schema import newest_known, read_schema, require_migrated
from pipeline.database.watch import DatabaseWatch

__all__ = [
    "DATABASE_ERRORS",
    "Connection",
    "DatabaseWatch",
    "Following",
    "Hosts",
    "MigrationHeld",
    "Pool",
    "drop_partitions",
    "ensure_partitions",
    "migrate",
    "newest_known",
    "open_pool",
    "read_schema",
    "require_migrated",
    "window",
]
