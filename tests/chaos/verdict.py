"""What a run left behind, looked at from outside: by SQL, and by the target's own record."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import asyncpg

from pipeline import topology
from tests.chaos import reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.chaos.records import Callout
    from tests.chaos.site import Site
    from tests.chaos.target import Target

_REST_S: Final = 300.0
_LOOK_S: Final = 0.5
_SHOWN_COUNT: Final = 3
_SHOWN_CHARACTERS: Final = 1500
# What was put off by the schedule of retries, which goes to half an hour, is due at once.
# Whose row is locked is just being told.
_ELAPSE: Final = """
    UPDATE outbox SET due_at = now() WHERE outbox_id IN (
        SELECT outbox_id FROM outbox WHERE state = 'open' AND due_at > now()
        FOR UPDATE SKIP LOCKED)"""
_OPEN: Final = "SELECT count(*) FROM outbox WHERE state IN ('open', 'held')"
_KEPT: Final = "SELECT count(*) FROM change"
_TOLD: Final = """
    SELECT idempotency_key, kind, state, org_id, sequence, recipient, attempts, last_error,
           outbox_id, generation, extract(epoch FROM created_at)::float8 AS created_s,
           extract(epoch FROM settled_at)::float8 AS settled_s
    FROM outbox ORDER BY outbox_id"""
_STANDING: Final = """
    SELECT org_id, sequence, recipient, generation > exited_generation AS stands,
           generation > 0 AS counts FROM enrollment"""


async def until_at_rest(site: Site, accepted: list[Callout]) -> str:
    """Return once all is worked off and told; or say what is lost, or in the end still open."""
    expected = sum(len(callout.changes) for callout in accepted)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _REST_S
    connection = await asyncpg.connect(site.servers.superuser_url(site.database))
    try:
        kept = -1
        while True:
            before, kept = kept, await connection.fetchval(_KEPT)
            open_count = await connection.fetchval(_OPEN)
            if kept == before and not (open_count and kept >= expected):
                queued = await _queued(site)
                # What is in no queue, unsettled ones included, and not committed by now is lost.
                kept = await connection.fetchval(_KEPT)
                if not queued and kept == before:
                    missing = expected - kept
                    return f"no queue holds the {missing} changes that are missing" * bool(missing)
            if loop.time() > until_s:
                return (
                    f"it did not come to rest: {kept} of {expected} changes, {open_count} outbox"
                    " rows open"
                )
            await connection.execute(_ELAPSE)
            await asyncio.sleep(_LOOK_S)
    finally:
        await connection.close()


async def _queued(site: Site) -> str:
    """Return the queues that hold messages, ready or unsettled; the log keeps its own."""
    listed = await site.servers.broker.ctl("list_queues", "--no-table-headers", "name", "messages")
    rows = [line.split() for line in listed.splitlines() if line.strip()]
    return ", ".join(
        f"{name} {count}" for name, count in rows if name != topology.LOG and count != "0"
    )


async def broken_promises(site: Site, accepted: list[Callout], rules: str) -> list[str]:
    """Hold what is there against what must be; return what differs."""
    servers = site.servers
    url = servers.superuser_url(site.database)
    broken = []
    left = await reference.state_of(url)
    sent = {
        (callout.org_id, callout.capture_id, record_id): (old, new)
        for callout in accepted
        for record_id, old, new in callout.changes
    }
    kept = {key[:3]: row[-2:] for key, row in left["change"].items()}
    broken += _differences("lost", sent.keys() - kept.keys())
    broken += _differences("in the history and never sent", kept.keys() - sent.keys())
    broken += _differences("doubled", _doubled(left["change"]))
    broken += _differences("altered", {k for k in sent.keys() & kept.keys() if sent[k] != kept[k]})
    name = await reference.without_faults(servers, accepted, rules)
    expected = await reference.state_of(servers.superuser_url(name))
    for table, state in expected.items():
        there = left[table]
        differing = {key for key in state.keys() | there.keys() if state.get(key) != there.get(key)}
        broken += _differences(
            f"rows of {table} that differ from a run without faults",
            {(key, there.get(key), state.get(key)) for key in differing},
        )
    connection = await asyncpg.connect(url)
    try:
        letters = await connection.fetch("SELECT reason, error, object FROM dead_letter")
        broken += _differences("dead letters", {tuple(row.values()) for row in letters})
        broken += _untold(
            site.target, await connection.fetch(_TOLD), await connection.fetch(_STANDING)
        )
    finally:
        await connection.close()
    return broken


def _doubled(changes: reference.State) -> set[tuple[object, ...]]:
    counts = Counter(key[:3] for key in changes)
    return {key for key, count in counts.items() if count > 1}


def _untold(
    target: Target, rows: list[asyncpg.Record], enrollments: list[asyncpg.Record]
) -> list[str]:
    """Compare the outbox and the enrolments with what the target acted on."""
    keys = {row["idempotency_key"] for row in rows}
    delivered = {row["idempotency_key"] for row in rows if row["state"] == "delivered"}
    never = {
        (row["org_id"], row["sequence"], row["recipient"])
        for row in enrollments
        if not row["counts"]
    }
    standing = {
        (row["org_id"], row["sequence"], row["recipient"]) for row in enrollments if row["stands"]
    }
    there = {key for key, is_in in target.enrolled.items() if is_in}
    failed = {
        (row["idempotency_key"], row["state"], row["last_error"])
        for row in rows
        if row["state"] not in {"delivered", "superseded"}
    }
    # What was delivered, undone and is told again has a longer key by then.
    known = {
        key for key in target.keys.keys() - keys if not any(one.startswith(key) for one in keys)
    }
    return [
        *target.broken,
        *_differences("told in the outbox, unknown to the target", delivered - target.keys.keys()),
        *_differences("known to the target, told by nobody", known),
        *_differences(
            "enrolled and not at the target", map(partial(_story, target, rows), standing - there)
        ),
        *_differences(
            "at the target and not enrolled",
            map(partial(_story, target, rows), there - standing - never),
        ),
        *_differences("outbox rows that were given up", failed),
    ]


def _story(target: Target, rows: list[asyncpg.Record], whom: tuple[str, str, str]) -> str:
    """Return what was to be told of one enrolment, and when the target heard it."""
    told = [
        f"{row['outbox_id']} {row['kind']} {row['generation']} {row['state']}"
        f" from {row['created_s']:.2f} to {row['settled_s'] or 0:.2f}, attempts {row['attempts']},"
        f" heard {[round(at_s, 2) for at_s in target.asked_s.get(row['idempotency_key'], [])]}"
        for row in rows
        if (row["org_id"], row["sequence"], row["recipient"]) == whom
    ]
    return "\n      ".join([repr(whom), *told])


def _differences(what: str, found: Iterable[object]) -> list[str]:
    some = sorted(one if isinstance(one, str) else repr(one) for one in found)
    if not some:
        return []
    shown = "".join(f"\n    {one[:_SHOWN_CHARACTERS]}" for one in some[:_SHOWN_COUNT])
    return [f"{len(some)} {what}:{shown}"]
