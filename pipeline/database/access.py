"""Who may do what in the database: one role for each kind of process, and one for people.

`migrate` grants to those of the roles that exist, table by table, and takes what is not in here.
Whoever owns the tables migrates them, drops what is older than the retention, and erases people; no
process needs to. Partitions need no grants: they are read and written by way of `change`. To clear
rows away a worker locks them, for which PostgreSQL demands that it might update them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.database.pool import Connection


class Role(StrEnum):
    """A role of PostgreSQL that users are members of."""

    INGEST = "penstock_ingest"
    WORKER = "penstock_worker"
    RELAY = "penstock_relay"
    CONSOLE = "penstock_console"
    OPERATOR = "penstock_operator"


# In PostgreSQL's own letters: r SELECT, a INSERT, w UPDATE, d DELETE; `*`: see COLUMNS.
_PRIVILEGES: Final = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_TABLES: Final = """
table               ingest  worker  relay   console operator
action              .       .       .       ra      ra
audit               .       rawd    .       r       raw
audit_finding       .       rawd    .       r       r
audit_object        .       rawd    .       r       raw
audit_range         .       rawd    .       r       r
audit_schedule      .       rw      .       r       rawd
bulk_run            .       .       .       raw     raw
change              .       ra      .       r       r
conditions_span     .       r       .       ra      ra
console_token       .       .       .       r       raw
dead_letter         .       rawd    .       rw      rw
delivery_try        .       rawd    .       .       .
described_object    .       r       .       r       raw
enrollment          .       raw     rw      raw     raw
enrollment_event    .       rawd    .       rad     rad
firing              .       raw     r       raw     raw
forgetting          .       .       .       *d      *d
gap                 .       rawd    .       r       r
heartbeat           raw     r       .       r       r
opt_out             .       raw     r       r       r
org                 *       *       *       *       raw
outbox              .       rawd    rw      raw     raw
process             raw     rawd    raw     raw     r
record              .       raw     .       r       r
record_end          .       raw     .       r       r
redelivery          .       rawd    .       r       r
reevaluation        .       rawd    .       ra      ra
reference           .       rad     .       r       r
relay_stop          .       .       ra      r       rawd
request             *       rawd    .       raw     raw
rule                .       r       .       rw      raw
rule_epoch          .       rw      .       rw      rw
rule_hour           .       rawd    .       raw     raw
rule_span           .       .       .       raw     raw
schema_migration    r       r       r       r       r
sequence            .       r       r       r       rawd
sequence_day        .       rwd     raw     r       r
suppression         .       .       r       r       rawd
tally               raw     rawd    raw     raw     r
tombstone           .       r       .       r       r
tombstone_key       .       r       r       r       r
traversal           .       rawd    .       r       r
waiting             .       rawd    r       rawd    rawd
"""
_RULING: Final = "org_id, sync_user_id, time_zone, conditions, conditions_version, watched"
_SHOWN: Final = (
    f"{_RULING}, paused, connect_code_expires_at, instance_url, is_sandbox, package_version,"
    " created_at, connected_at"
)
# Where not every column is of a role's business. Of an org, nobody but ingest and people at a
# command line reads secrets. Workers lock an org's row while they ask for audits, for which
# PostgreSQL demands that they might change some column.
COLUMNS: Final[Mapping[tuple[Role, str], Mapping[str, str]]] = {
    (Role.INGEST, "org"): {
        "SELECT": "org_id, sync_user_id, connect_code, connect_code_expires_at, secret,"
        " next_secret, paused, conditions, conditions_version, connected_at",
        "UPDATE": "connect_code, connect_code_expires_at, secret, next_secret, instance_url,"
        " is_sandbox, package_version, connected_at",
    },
    (Role.INGEST, "request"): {
        "SELECT": "request_id, org_id, kind, object, since, record_ids, cursor, state, settled_at",
        "INSERT": "org_id, kind, object, since, cause",
        "UPDATE": "state, settled_at",
    },
    (Role.WORKER, "org"): {"SELECT": _RULING, "UPDATE": "created_at"},
    (Role.RELAY, "org"): {"SELECT": "org_id, time_zone"},
    (Role.CONSOLE, "forgetting"): {"SELECT": "run_id"},
    (Role.OPERATOR, "forgetting"): {"SELECT": "run_id"},
    (Role.CONSOLE, "org"): {"SELECT": _SHOWN, "UPDATE": "paused, conditions, conditions_version"},
}
# Functions that act with their owner's rights.
FUNCTIONS: Final[Mapping[str, frozenset[Role]]] = {
    "penstock_make_partition(bigint, bigint)": frozenset({Role.WORKER})
}


def privileges(role: Role) -> Mapping[str, str]:
    """Return what a role may do, by table: `SELECT, INSERT (org_id, kind)`."""
    header, *lines = _TABLES.split("\n")[1:-1]
    place = header.split().index(role.removeprefix("penstock_"))
    found = {}
    for line in lines:
        table, cell = line.split()[0], line.split()[place]
        by_column = COLUMNS[role, table] if "*" in cell else {}
        found[table] = ", ".join(
            [f"{privilege} ({columns})" for privilege, columns in by_column.items()]
            + [privilege for letter, privilege in _PRIVILEGES.items() if letter in cell]
        )
    return found


async def grant_access(connection: Connection) -> list[Role]:
    """Grant what is written here to the roles that exist, and take all else; return those.

    To be called in a transaction by the owner of the tables: whoever works meanwhile sees nothing.
    """
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[]) AND rolname <> current_user",
        list(Role),
    )
    roles = [Role(row["rolname"]) for row in rows]
    schema = await connection.fetchval("SELECT quote_ident(current_schema())")
    await connection.execute("; ".join(_statements(roles, schema)))
    return roles


def _statements(roles: list[Role], schema: str) -> Iterator[str]:
    for function in FUNCTIONS:
        yield f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC"
    for role in roles:
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        for table, granted in privileges(role).items():
            yield f"REVOKE ALL ON {table} FROM {role}"
            if granted:
                yield f"GRANT {granted} ON {table} TO {role}"
        for function, callers in FUNCTIONS.items():
            yield f"REVOKE ALL ON FUNCTION {function} FROM {role}"
            if role in callers:
                yield f"GRANT EXECUTE ON FUNCTION {function} TO {role}"
