"""Trying rules on history: what they would have done, without doing any of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from ops.errors import OpsError
from ops.rule_trial.history import Span
from ops.rule_trial.report import ReplayTrial, Trial
from ops.rule_trial.run import Bounds, Ruling, Run
from ops.rule_trial.watching import warnings
from ops.times import iso
from rules import Rule, Sequence, parse_documents

if TYPE_CHECKING:
    import collections.abc
    from collections.abc import Callable, Iterable

    from pipeline.database import Connection

    # Changes read so far, and about how many there are.
    Progress: TypeAlias = Callable[[int, int], None]

DAY_MS: Final = 24 * 3_600_000
# What a trial within `rules apply` may take.
LAST_DAY_MAX_CHANGES: Final = 100_000
LAST_DAY_MAX_S: Final = 10.0
REPLAY_SAMPLE_COUNT: Final = 3

_READ_ORG: Final = "SELECT sync_user_id, time_zone FROM org WHERE org_id = $1"
_READ_SEQUENCES: Final = "SELECT sequence, send_to_opted_out FROM sequence WHERE org_id = $1"
_NOW: Final = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Tried(msgspec.Struct, frozen=True):
    """The documents of a trial."""

    rules: list[Rule]
    sequences: list[Sequence]


class LastDay(msgspec.Struct, frozen=True):
    """How many new enrolments a rule would have made in the last day, `held` ones among them.

    `is_whole` is false when there were too many changes to look at: then it is only of what was
    captured since `since_ms` (Unix ms).
    """

    enrolments: int
    held: int
    since_ms: int
    is_whole: bool


def read_documents(texts: Iterable[tuple[str, str]]) -> Tried:
    """Read rules and sequences from (file name, YAML text) pairs.

    Raises:
        rules.RuleError: with every mistake of the first file that has any.
        OpsError: there is no rule, or two of a name.
    """
    tried = Tried([], [])
    files: dict[str, str] = {}
    for file, text in texts:
        for document in parse_documents(text, file):
            match document.content:
                case Sequence():
                    tried.sequences.append(document.content)
                case Rule(name=name):
                    if name in files:
                        raise OpsError(f"two rules are named {name!r}: {files[name]} and {file}")
                    files[name] = file
                    tried.rules.append(document.content)
    if not tried.rules:
        raise OpsError("there is no rule to try in these files")
    return tried


async def try_rules(  # noqa: PLR0913  each is a choice of its own
    reading: Connection,
    asking: Connection,
    org_id: str,
    tried: Tried,
    *,
    since_ms: int,
    until_ms: int,
    sample_count: int,
    progress: Progress | None = None,
) -> Trial:
    """Show rules the changes captured from `since_ms` until `until_ms` (Unix ms).

    Two connections, so that the history is read ahead on one.
    """
    ruling = await _read_ruling(asking, org_id, tried.sequences)
    run = Run(tried.rules, ruling, sample_count=sample_count)
    span = _span(org_id, tried.rules, since_ms, until_ms)
    found = await warnings(asking, org_id, tried.rules, since_ms, until_ms)
    if progress is None:
        await run.show(span, reading, asking)
    else:
        expected_count = await span.estimate(asking)
        await run.show(span, reading, asking, progress=lambda done: progress(done, expected_count))
    return Trial(
        org_id=org_id,
        since=iso(since_ms),
        until=iso(until_ms),
        changes=run.change_count,
        unreadable=run.unreadable_count,
        warnings=found,
        rules=[tally.report() for tally in run.tallies],
    )


async def enrolments_of_last_day(
    connection: Connection, org_id: str, rules: collections.abc.Sequence[Rule]
) -> dict[str, LastDay]:
    """Return how many new enrolments each rule would have made in the last day, by its name.

    Of each object at most the newest 100,000 changes are looked at, and 10 s are shared by the
    objects.
    """
    ruling = await _read_ruling(connection, org_id, [])
    now_ms: int = await connection.fetchval(_NOW)
    found: dict[str, LastDay] = {}
    objects = {rule.object for rule in rules}
    for sobject in sorted(objects):
        own = [rule for rule in rules if rule.object is sobject]
        run = Run(own, ruling, sample_count=0)
        span = _span(org_id, own, now_ms - DAY_MS, now_ms)
        bounds = Bounds(LAST_DAY_MAX_CHANGES, LAST_DAY_MAX_S / len(objects))
        await run.show(span, connection, connection, bounds=bounds)
        for tally in run.tallies:
            found[tally.rule.name] = LastDay(
                enrolments=tally.enrolments_count(),
                held=tally.held_count(),
                since_ms=span.since_ms if run.is_whole else run.oldest_ms,
                is_whole=run.is_whole,
            )
    return found


async def try_replay(  # noqa: PLR0913  each is a choice of its own
    connection: Connection,
    org_id: str,
    rules: collections.abc.Sequence[Rule],
    *,
    since_ms: int,
    until_ms: int,
    max_s: float,
) -> ReplayTrial:
    """Return what replaying the changes of a span (Unix ms) would do today; `max_s` bounds it."""
    ruling = await _read_ruling(connection, org_id, [])
    run = Run(rules, ruling, sample_count=REPLAY_SAMPLE_COUNT, as_replay=True)
    span = _span(org_id, rules, since_ms, until_ms)
    await run.show(span, connection, connection, bounds=Bounds(sys.maxsize, max_s))
    return ReplayTrial(
        org_id=org_id,
        changes=run.change_count,
        is_whole=run.is_whole,
        warnings=await warnings(connection, org_id, rules, since_ms, until_ms),
        rules=[tally.report() for tally in run.tallies],
    )


def _span(org_id: str, rules: collections.abc.Sequence[Rule], since_ms: int, until_ms: int) -> Span:
    return Span(
        org_id,
        frozenset(rule.object for rule in rules),
        frozenset(operation for rule in rules for operation in rule.operations),
        since_ms,
        until_ms,
    )


async def _read_ruling(
    connection: Connection, org_id: str, sequences: Iterable[Sequence]
) -> Ruling:
    """Read what decides besides the rules; what `sequences` say goes over what is stored."""
    org = await connection.fetchrow(_READ_ORG, org_id)
    if org is None:
        raise OpsError(f"org {org_id} is not registered: `penstock org list` shows which are")
    stored = await connection.fetch(_READ_SEQUENCES, org_id)
    sends = {row["sequence"]: row["send_to_opted_out"] for row in stored}
    sends |= {sequence.name: sequence.send_to_opted_out for sequence in sequences}
    return Ruling(
        sync_user_id=org["sync_user_id"],
        zone=_zone(org["time_zone"]),
        takes_opted_out=frozenset(name for name, to_opted_out in sends.items() if to_opted_out),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise OpsError(f"this machine does not know the org's time zone {name!r}") from error
