"""Checks of PostgreSQL: version, migrations, partitions, durability, standbys, bloat, clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ops.commands.lines import times
from ops.doctor.finding import NotMade, Verdict, fine, wrong
from ops.times import span
from pipeline.database import read_schema
from pipeline.database.partitions import DAY_MS, first_needed
from pipeline.database.partitions import partitions as history_partitions

if TYPE_CHECKING:
    from ops.doctor.subject import Subject

_MIN_VERSION: Final = 150_000
_AHEAD_MS: Final = 7 * DAY_MS
_MAX_SKEW_S: Final = 5.0
_MIN_DEAD_ROWS: Final = 100_000
_MAX_TRANSACTION_S: Final = 3600
_MAX_CONNECTIONS_SHARE: Final = 0.9
_MAX_LAG_BYTES: Final = 256 * 1024**2

_BLOATED: Final = """
    SELECT relname AS name, n_dead_tup AS dead_count, n_live_tup AS live_count
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND n_dead_tup > $1 AND n_dead_tup > n_live_tup
    ORDER BY n_dead_tup DESC LIMIT 5"""
_OLD_TRANSACTIONS: Final = """
    SELECT pid, application_name, extract(epoch FROM now() - xact_start)::float8 AS age_s
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < now() - make_interval(secs => $1)
    ORDER BY xact_start LIMIT 5"""
_CONNECTIONS: Final = """
    SELECT count(*) AS open_count, current_setting('max_connections')::integer AS max_count
    FROM pg_stat_activity WHERE backend_type = 'client backend'"""
_STANDBYS: Final = """
    SELECT application_name AS name, state, sync_state,
           pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind_bytes
    FROM pg_stat_replication ORDER BY application_name"""
_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"


async def answers(subject: Subject) -> Verdict:
    """See that PostgreSQL answers, and is one that Penstock runs on."""
    if subject.database_problem is not None:
        return wrong(
            subject.database_problem,
            "start PostgreSQL, or set PENSTOCK_DATABASE__URL to where it is",
        )
    number = int(await subject.database.fetchval("SHOW server_version_num"))
    version = await subject.database.fetchval("SHOW server_version")
    if number < _MIN_VERSION:
        return wrong(f"PostgreSQL {version} is too old", "upgrade PostgreSQL to 15 or later")
    if await subject.database.fetchval("SELECT pg_is_in_recovery()"):
        return wrong(
            "this PostgreSQL is a standby, which takes no changes",
            "set PENSTOCK_DATABASE__URL to the primary, or promote this one: SELECT pg_promote()",
        )
    return fine(f"PostgreSQL {version} answers")


async def migrations(subject: Subject) -> Verdict:
    """See that the tables are those that this version works with."""
    schema = await read_schema(subject.database)
    if schema.lacks:
        lacked = times(len(schema.lacks), "migration")
        return wrong(f"the database lacks {lacked}", "penstock migrate")
    if schema.unknown:
        return wrong(
            f"the database has {times(len(schema.unknown), 'migration')} that this version does"
            " not know",
            "upgrade this Penstock to the one that migrated the database",
        )
    if schema.leftover:
        return wrong(
            f"the database still has what only older versions use"
            f" ({', '.join(f'{number:04}' for number in schema.leftover)} is to take it away)",
            "penstock migrate   (once none of them runs)",
        )
    return fine("every migration is applied")


async def partitions(subject: Subject) -> list[Verdict]:
    """See that the history has partitions for the coming week, and none past the retention."""
    now_ms = time.time_ns() // 1_000_000
    kept = await history_partitions(subject.database)
    ahead_ms = max((one.to_ms for one in kept), default=0) - now_ms
    found = []
    if ahead_ms < _AHEAD_MS:
        told = f"only {span(ahead_ms / 1000)}" if ahead_ms > 0 else "no time at all"
        found.append(
            wrong(
                f"the history has partitions for {told} ahead",
                "penstock migrate   (workers make them every hour: look at their log for"
                " upkeep_held)",
            )
        )
    # What is past the retention since yesterday is not late yet.
    days = subject.settings.database.retention_days
    first = first_needed(retention_days=days, now_ms=now_ms - DAY_MS)
    late = [one.name for one in kept if one.to_ms <= first]
    if late:
        found.append(
            wrong(
                f"{times(len(late), 'partition')} of the history, from {late[0]} on, should be"
                f" gone: older than {days} days",
                "end what reads the history for hours, or set PENSTOCK_DATABASE__RETENTION_DAYS"
                " alike everywhere   (workers drop them every hour: look at their log for"
                " upkeep_held; where those do not own the history: penstock migrate)",
            )
        )
    return found or [fine(f"the history has partitions for {span(ahead_ms / 1000)} ahead")]


async def durability(subject: Subject) -> list[Verdict]:
    """See that what is committed is on disk."""
    found = []
    for name in ("fsync", "full_page_writes"):
        if await subject.database.fetchval(f"SHOW {name}") != "on":
            mend = f"psql -c 'ALTER SYSTEM SET {name} = on' -c 'SELECT pg_reload_conf()'"
            found.append(wrong(f"{name} is off: a crash of the server may lose all", mend))
    commit = await subject.database.fetchval("SHOW synchronous_commit")
    if commit == "off":
        mend = "psql -c 'ALTER SYSTEM SET synchronous_commit = on' -c 'SELECT pg_reload_conf()'"
        found.append(
            wrong("synchronous_commit is off: a crash may lose what was acknowledged", mend)
        )
    return found or [fine(f"fsync is on, synchronous_commit is {commit}")]


async def standbys(subject: Subject) -> list[Verdict]:
    """See that the standbys that commits wait for are there, and not far behind."""
    names = await subject.database.fetchval("SHOW synchronous_standby_names")
    rows = await subject.database.fetch(_STANDBYS)
    if any(row["state"] is None for row in rows):
        user = await subject.database.fetchval("SELECT current_user")
        raise NotMade(f"user {user} may not see standbys (GRANT pg_monitor TO {user})")
    in_step = [row["name"] for row in rows if row["sync_state"] in {"sync", "quorum"}]
    if names and not in_step:
        return [
            wrong(
                f"synchronous_standby_names is {names!r} and none of them is connected: commits"
                " wait for ever",
                "start a standby whose application_name is one of those names",
            )
        ]
    late = [row for row in rows if (row["behind_bytes"] or 0) > _MAX_LAG_BYTES]
    if late:
        return [
            wrong(
                f"standby {row['name']} is {row['behind_bytes'] // 1024**2:,} MiB behind",
                "look at its log and its network; SELECT * FROM pg_stat_replication",
            )
            for row in late
        ]
    if not names:
        return [fine("no synchronous standby: what is committed outlives a crash, not the disk")]
    return [fine(f"in step: {', '.join(in_step)}")]


async def bloat(subject: Subject) -> list[Verdict]:
    """See that no table is mostly dead rows, and nothing keeps them from being cleared."""
    found = [
        wrong(
            f"table {row['name']} has {row['dead_count']:,} dead rows and {row['live_count']:,}"
            " live ones",
            f"psql -c 'VACUUM (ANALYZE) {row['name']}'",
        )
        for row in await subject.database.fetch(_BLOATED, _MIN_DEAD_ROWS)
    ]
    if await subject.database.fetchval("SHOW autovacuum") != "on":
        mend = "psql -c 'ALTER SYSTEM SET autovacuum = on' -c 'SELECT pg_reload_conf()'"
        found.append(wrong("autovacuum is off: tables only grow", mend))
    found += [
        wrong(
            f"a transaction of {row['application_name'] or 'somebody'} has been open for"
            f" {span(row['age_s'])}: no dead row is cleared away meanwhile",
            f"psql -c 'SELECT pg_terminate_backend({row['pid']})'",
        )
        for row in await subject.database.fetch(_OLD_TRANSACTIONS, _MAX_TRANSACTION_S)
    ]
    return found or [fine("no table is mostly dead rows, no transaction is old")]


async def connections(subject: Subject) -> Verdict:
    """See that there is room for more processes."""
    (row,) = await subject.database.fetch(_CONNECTIONS)
    open_count, max_count = row["open_count"], row["max_count"]
    told = f"{open_count} of {max_count} connections are open"
    if open_count > max_count * _MAX_CONNECTIONS_SHARE:
        return wrong(told, "raise max_connections, or lower PENSTOCK_DATABASE__POOL_SIZE")
    return fine(told)


async def clock(subject: Subject) -> Verdict:
    """See that the database's clock and this machine's agree."""
    before_s = time.time()
    theirs_s: float = await subject.database.fetchval(_CLOCK)
    skew_s = theirs_s - (before_s + time.time()) / 2
    told = f"the database's clock is {skew_s:+.1f} s against this machine's"
    if abs(skew_s) > _MAX_SKEW_S:
        return wrong(told, "synchronise both: systemctl restart chrony")
    return fine(told)
