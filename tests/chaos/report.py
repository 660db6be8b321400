"""A campaign's figures as a table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.chaos.plan import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.campaign import Outcome
    from tests.chaos.plan import Kind


def report(outcomes: Sequence[Outcome]) -> str:
    """Return faults by kind with their recovery, what was sent, and what became of it."""
    return "\n".join((*_faults(outcomes), "", *_totals(outcomes), ""))


def _faults(outcomes: Sequence[Outcome]) -> Iterator[str]:
    seen: defaultdict[Kind, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for fault, recovery in outcome.recoveries:
            seen[fault.kind].append(recovery.all_s)
    yield "| fault | count | recovery p50 s | max s |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        if took := seen[kind]:
            yield f"| {kind} | {len(took)} | {statistics.median(took):.2f} | {max(took):.2f} |"
    every = [one for took in seen.values() for one in took]
    if every:
        yield f"| all | {len(every)} | {statistics.median(every):.2f} | {max(every):.2f} |"


def _totals(outcomes: Sequence[Outcome]) -> Iterator[str]:
    answers: defaultdict[str, int] = defaultdict(int)
    for outcome in outcomes:
        for status, count in outcome.answers.items():
            answers[status] += count
    told = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    seeds = ", ".join(str(outcome.seed) for outcome in outcomes)
    yield f"seeds {seeds}; {sum(one.took_s for one in outcomes) / 60:.1f} minutes in all"
    yield f"callouts accepted {sum(one.callout_count for one in outcomes)} (answers {told})"
    yield f"changes accepted {sum(one.change_count for one in outcomes)}"
    yield (
        f"told the target {sum(one.delivered_count for one in outcomes)} in"
        f" {sum(one.request_count for one in outcomes)} requests"
    )
    yield f"deadlocks {sum(one.deadlock_count for one in outcomes)}"
    broken = [promise for one in outcomes for promise in one.broken]
    yield f"promises broken {len(broken)}"
    yield from (f"BROKEN {promise}" for promise in broken)
