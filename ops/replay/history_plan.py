"""What a replay of stored changes would do, before anything is done; and beginning it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from ops import bulk_runs
from ops.bulk_runs import RunKind
from ops.errors import OpsError, WrongUsage
from ops.replay.history import HistoryReplay
from ops.rule_trial import ReplayTrial, try_replay
from ops.times import iso
from pipeline.objects import SObject
from rules import CompiledRule, Rule, compile_rule, parse_rules
from rules.mistakes import near_name
from workers.lookups.climbs import Climbs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection

DEFAULT_RATE_PER_S: Final = 1000
# What counting and trying may take; beyond it, the plan says what it knows.
_COUNT_MS: Final = 5000
_TRY_S: Final = 10.0

_READ_RULES: Final = """
    SELECT org_id, rule, version, source FROM rule
    WHERE state = 'active' AND ($1::text IS NULL OR org_id = $1) ORDER BY org_id, rule"""
_MEANT: Final = """
    FROM change WHERE captured_at >= $1 AND captured_at < $2 AND object = ANY($3::text[])
      AND ($4::text IS NULL OR org_id = $4)"""
_COUNT: Final = f"SELECT org_id, object, count(*) AS changes {_MEANT} GROUP BY 1, 2 ORDER BY 1, 2"
_ESTIMATE: Final = f"EXPLAIN (FORMAT JSON) SELECT {_MEANT}"
_LIMIT: Final = f"SET LOCAL statement_timeout = {_COUNT_MS}"


class ObjectCount(msgspec.Struct, frozen=True):
    """How many changes of an object an org made."""

    org_id: str
    object: str
    changes: int


class HistoryPlan(msgspec.Struct, frozen=True):
    """What a replay would be applied to, and about what would come of it.

    `counts` are empty where counting takes too long: then `total_count` is the planner's estimate.
    `trials`, of each org whose rules are meant, are of the newest changes if all would take too
    long; changes that have a rule judge the records that look them up are not in them.
    """

    replay: HistoryReplay
    since: str
    until: str
    total_count: int
    is_exact: bool
    counts: list[ObjectCount]
    trials: list[ReplayTrial]


async def plan(  # noqa: PLR0913  each narrows what is meant
    connection: Connection,
    *,
    since_ms: int,
    until_ms: int,
    org_id: str | None = None,
    objects: Collection[SObject] = (),
    rules: Collection[str] = (),
) -> HistoryPlan:
    """Say what a replay would be applied to; without `rules`, by all that are active.

    Of objects, those count that the rules are about or look up.

    Raises:
        OpsError: no rule is active, or none of a name.
        WrongUsage: the span is empty, or no rule is about the objects.
    """
    if since_ms >= until_ms:
        raise WrongUsage("--since has to be before --until")
    compiled = await _read_rules(connection, org_id, rules)
    touched = _touched(compiled)
    meant = sorted(touched & frozenset(objects) if objects else touched)
    if not meant:
        named = " or ".join(sorted(objects))
        raise WrongUsage(f"no active rule that is meant is about {named}, or looks it up")
    replay = HistoryReplay(since_ms, until_ms, meant, org_id, sorted(set(rules)))
    counts = await _count(connection, replay)
    total_count = (
        await _estimate(connection, replay)
        if counts is None
        else sum(one.changes for one in counts)
    )
    return HistoryPlan(
        replay=replay,
        since=iso(since_ms),
        until=iso(until_ms),
        total_count=total_count,
        is_exact=counts is not None,
        counts=counts or [],
        trials=await _try(connection, replay, compiled),
    )


async def begin(
    connection: Connection, planned: HistoryPlan, *, actor: str, rate_per_s: int
) -> BulkRun:
    """Begin the run that was planned, and write down who did; nobody drives it yet.

    Raises:
        OpsError: there is nothing to do.
    """
    if planned.total_count == 0:
        raise OpsError("the history holds no such change: nothing to do")
    return await bulk_runs.create(
        connection,
        RunKind.HISTORY_REPLAY,
        actor=actor,
        parameters=msgspec.to_builtins(planned.replay),
        total_count=planned.total_count if planned.is_exact else None,
        rate_per_s=rate_per_s,
    )


async def _read_rules(
    connection: Connection, org_id: str | None, names: Collection[str]
) -> Mapping[str, Sequence[tuple[Rule, CompiledRule]]]:
    """Return the active rules that are meant, by org."""
    rows = await connection.fetch(_READ_RULES, org_id)
    known = {row["rule"] for row in rows}
    for name in names:
        if name not in known:
            hint = near_name(name, known) or ": `penstock rules list` shows which are"
            raise OpsError(f"no rule {name!r} is active{hint}")
    found: defaultdict[str, list[tuple[Rule, CompiledRule]]] = defaultdict(list)
    for row in rows:
        if not names or row["rule"] in names:
            (rule,) = parse_rules(row["source"], f"rule {row['rule']} of org {row['org_id']}")
            found[row["org_id"]].append((rule, compile_rule(rule, row["version"])))
    if not found:
        raise OpsError("no rule is active: nothing to replay changes to")
    return found


def _touched(rules: Mapping[str, Sequence[tuple[Rule, CompiledRule]]]) -> frozenset[SObject]:
    """Return the objects that the rules are about, or whose changes have them asked again."""
    compiled = [one for own in rules.values() for _, one in own]
    climbs = Climbs(compiled)
    about = {one.object for one in compiled}
    return frozenset(one for one in SObject if one in about or climbs.is_watched(one))


async def _count(connection: Connection, replay: HistoryReplay) -> list[ObjectCount] | None:
    try:
        async with connection.transaction():
            await connection.execute(_LIMIT)
            rows = await connection.fetch(_COUNT, *_arguments(replay))
    except asyncpg.QueryCanceledError:
        return None
    return [ObjectCount(*row) for row in rows]


async def _estimate(connection: Connection, replay: HistoryReplay) -> int:
    told = msgspec.json.decode(await connection.fetchval(_ESTIMATE, *_arguments(replay)))
    return int(told[0]["Plan"]["Plan Rows"])


def _arguments(replay: HistoryReplay) -> tuple[int, int, list[SObject], str | None]:
    return replay.since_ms, replay.until_ms, replay.objects, replay.org_id


async def _try(
    connection: Connection,
    replay: HistoryReplay,
    rules: Mapping[str, Sequence[tuple[Rule, CompiledRule]]],
) -> list[ReplayTrial]:
    meant = {
        org_id: [rule for rule, _ in own if rule.object in replay.objects]
        for org_id, own in rules.items()
    }
    return [
        await try_replay(
            connection,
            org_id,
            own,
            since_ms=replay.since_ms,
            until_ms=replay.until_ms,
            max_s=_TRY_S / len(meant),
        )
        for org_id, own in meant.items()
        if own
    ]
