"""PostgreSQL: the pool, the migrations and the partitions of the history."""

from pipeline.database.apply import MigrationHeld
from pipeline.database.following import Following
from pipeline.database.hosts import DATABASE_ERRORS, Hosts
from pipeline.database.migrate import (
    migrate,
    pending_migrations,
    require_migrated,
    unknown_migrations,
)
from pipeline.database.partitions import drop_partitions, ensure_partitions, window
from pipeline.database.pool import Connection, Pool, open_pool

__all__ = [
    "DATABASE_ERRORS",
    "Connection",
    "Following",
    "Hosts",
    "MigrationHeld",
    "Pool",
    "drop_partitions",
    "ensure_partitions",
    "migrate",
    "open_pool",
    "pending_migrations",
    "require_migrated",
    "unknown_migrations",
    "window",
]
