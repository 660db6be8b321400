"""Every check, in the order in which a person would make them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from ops.doctor import broker, database, encryption, orgs, path
from ops.doctor.finding import Finding, NeedsSetting, NotMade, State, Verdict
from ops.doctor.subject import subject_of
from pipeline.database import DATABASE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ops.doctor.subject import Subject
    from pipeline.settings import Settings

    Check = Callable[[Subject], Awaitable[Verdict | list[Verdict]]]

_TIMEOUT_S: Final = 20.0

CHECKS: Final[dict[str, Check]] = {
    "broker": broker.answers,
    "broker: encryption": encryption.broker,
    "broker: queues": broker.queues,
    "broker: takes messages": broker.takes_messages,
    "broker: alarms": broker.alarms,
    "broker: policies": broker.policies,
    "broker: members": broker.members,
    "database": database.answers,
    "database: encryption": encryption.database,
    "database: migrations": database.migrations,
    "database: partitions": database.partitions,
    "database: durability": database.durability,
    "database: standbys": database.standbys,
    "database: bloat": database.bloat,
    "database: connections": database.connections,
    "clock": database.clock,
    "processes": path.processes,
    "workers": path.workers,
    "callouts": path.edge,
    "orgs": orgs.orgs,
    "secrets": orgs.secrets,
    "dead letters": path.dead_letters,
    "outbox": path.outbox,
    "relay": path.relay,
    "targets": path.targets,
}


async def examine(settings: Settings) -> list[Finding]:
    """Make every check; whatever one meets, the others are made. Changes nothing."""
    async with subject_of(settings) as subject:
        return [
            Finding(name, verdict.state, verdict.told, verdict.mend)
            for name, check in CHECKS.items()
            for verdict in await _made(check, subject)
        ]


async def _made(check: Check, subject: Subject) -> list[Verdict]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            found = await check(subject)
    except NeedsSetting as error:
        return [Verdict(State.SKIPPED, "not looked at", f"set {error}")]
    except NotMade as error:
        return [Verdict(State.UNKNOWN, f"cannot be told: {error}")]
    except asyncpg.UndefinedTableError:
        return [Verdict(State.UNKNOWN, "cannot be told: a table is missing", "penstock migrate")]
    except (*DATABASE_ERRORS, *CONNECTION_EXCEPTIONS) as error:
        return [Verdict(State.UNKNOWN, f"cannot be told: {error!r}")]
    return found if isinstance(found, list) else [found]
