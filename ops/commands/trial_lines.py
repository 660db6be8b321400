"""The outcome of `penstock rules test` in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.commands.lines import folded, times
from ops.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.rule_trial import RuleTrial, Trial
    from ops.rule_trial.report import Addition, Sample

_INDENT: Final = 4


def trial_lines(trial: Trial) -> Iterator[str]:
    """Return a trial for people to read; nothing in it is escaped yet."""
    yield f"Tried on the changes from {trial.since} until {trial.until}, without effect."
    if trial.unreadable:
        yield f"{times(trial.unreadable, 'record')} could not be read."
    for warning in trial.warnings:
        yield from folded(f"Warning: {warning}.", 0)
    for rule in trial.rules:
        yield ""
        yield from rule_lines(rule)


def rule_lines(rule: RuleTrial) -> Iterator[str]:
    """Return what one rule would have done."""
    at_least = "at least " if rule.is_cut else ""
    yield (
        f"Rule {rule.rule} ({rule.object}: {', '.join(rule.operations)}) matched"
        f" {rule.matched:,} of {times(rule.changes, 'change')},"
        f" of {at_least}{times(rule.records, 'record')}."
    )
    for count, what in (
        (rule.passed_over.sync_user, "passed over: made by the Sync User"),
        (rule.passed_over.max_age, "passed over: older than the rule's max_age on arrival"),
        (rule.waiting, "not decided: looked up a record that is not synced"),
        (rule.no_address, "without an e-mail address in the recipient's field"),
    ):
        if count:
            yield f"  {count:,} {what}"
    for added in rule.additions:
        yield from _addition_lines(added, at_least)
    for removed in rule.removals:
        yield (
            f"  would have removed {at_least}{_people(removed.people)} from {removed.sequence!r};"
            f" {removed.enrolled:,} of them are in it today"
        )
    for called in rule.calls:
        yield f"  would have called {called.url} {times(called.calls, 'time')}"
    if rule.held:
        yield f"  {rule.held:,} held for release: beyond the ceiling of {rule.ceiling:,} an hour"
    if rule.samples:
        yield "  Matches, for example:"
        yield from _samples(rule.samples)
    for missed in rule.near_misses:
        yield from folded(
            f"Near miss, {times(missed.changes, 'change')}: all held but {missed.condition}", 2
        )
        yield from _samples(missed.samples)


def _addition_lines(added: Addition, at_least: str) -> Iterator[str]:
    yield (
        f"  would have added {at_least}{_people(added.people)} to {added.sequence!r}:"
        f" {times(added.enrolments, 'new enrolment')}"
    )
    for count, what in (
        (added.already, "in the sequence already, today"),
        (added.suppressed, "on the suppression list: would not be mailed"),
        (added.opted_out, "opted out or bounced: would not be mailed"),
    ):
        if count:
            yield f"    {count:,} {what}"


def _samples(samples: Iterable[Sample]) -> Iterator[str]:
    for sample in samples:
        who = f" → {', '.join(sample.recipients)}" if sample.recipients else ""
        yield from folded(
            f"{iso(sample.captured_at)} {sample.operation} {sample.record_id}{who}", _INDENT
        )
        for read in sample.reads:
            yield from folded(f"- {read}", _INDENT + 2)


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
