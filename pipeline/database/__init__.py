"""PostgreSQL: the pool, the migrations and the partitions of the history."""

from pipeline.database.migrate import migrate, pending_migrations
from pipeline.database.partitions import ensure_partitions, window
from pipeline.database.pool import DATABASE_ERRORS, Connection, Pool, open_pool, ping

__all__ = [
    "DATABASE_ERRORS",
    "Connection",
    "Pool",
    "ensure_partitions",
    "migrate",
    "open_pool",
    "pending_migrations",
    "ping",
    "window",
]
