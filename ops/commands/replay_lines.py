"""Plans of replays, and what came of them, in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.commands.lines import folded, times
from ops.commands.trial_lines import rule_lines
from ops.times import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.replay.callout_plan import CalloutPlan
    from ops.replay.history import HistoryReplay
    from ops.replay.history_plan import HistoryPlan
    from ops.replay.outcome import HistoryOutcome
    from ops.rule_trial import ReplayTrial


def history_plan_lines(plan: HistoryPlan, rate_per_s: int) -> Iterator[str]:
    """Return what a replay of changes would do."""
    about = "" if plan.is_exact else "about "
    yield (
        f"Would send {about}{times(plan.total_count, 'change')} from {plan.since} until"
        f" {plan.until} through {_which(plan.replay)}:"
    )
    for one in plan.counts:
        yield f"  {one.changes:>12,}  {one.object} of org {one.org_id}"
    for trial in plan.trials:
        yield ""
        yield from _trial_lines(trial)
    yield ""
    yield from _how_to_apply(plan.total_count, rate_per_s)


def _which(replay: HistoryReplay) -> str:
    if not replay.rules:
        return "every active rule"
    return ("rule " if len(replay.rules) == 1 else "rules ") + ", ".join(replay.rules)


def _trial_lines(trial: ReplayTrial) -> Iterator[str]:
    looked_at = times(trial.changes, "change")
    what = "all" if trial.is_whole else "the newest"
    yield f"Of org {trial.org_id}, as everything stands today, by {what} {looked_at}:"
    for warning in trial.warnings:
        yield from folded(f"Warning: {warning}.", 0)
    for rule in trial.rules:
        yield from rule_lines(rule)


def callout_plan_lines(plan: CalloutPlan, rate_per_s: int) -> Iterator[str]:
    """Return what a replay of callouts would do."""
    if plan.reaches_back_to is None:
        yield "The log is empty."
        return
    yield f"The log reaches back to {plan.reaches_back_to}."
    for warning in plan.warnings:
        yield from folded(f"Warning: {warning}.", 0)
    until = "now" if plan.until is None else plan.until
    whose = f" of org {plan.replay.org_id}" if plan.replay.org_id else ""
    objects = ", ".join(plan.replay.objects) or "every object"
    yield (
        f"Would look at about {times(plan.looked_at_count, 'message')} from {plan.since} until"
        f" {until},"
    )
    yield f"and publish again what holds callouts for {objects}{whose}."
    yield "Workers know what they have committed: nothing has its effects twice."
    yield ""
    yield from _how_to_apply(plan.looked_at_count, rate_per_s)


def _how_to_apply(count: int, rate_per_s: int) -> Iterator[str]:
    if count == 0:
        yield "Nothing to do."
        return
    takes = span(max(1, count / rate_per_s))
    yield f"Nothing was done. --apply does it, in {takes} or more at {rate_per_s:,}/s."


def outcome_lines(found: HistoryOutcome) -> Iterator[str]:
    """Return what a replay of changes has come to so far."""
    yield f"  {times(found.fired_count, 'new firing')}"
    for one in found.rules:
        yield f"  rule {one.rule}: fired {times(one.fired, 'time')}"
    for enrolled in found.enrollments:
        yield (
            f"  {times(enrolled.count, 'enrolment')} in {enrolled.sequence!r} decided by them,"
            f" {enrolled.state}"
        )
    if found.failure is not None:
        yield from folded(f"could not be judged, the first: {found.failure}", 2)
