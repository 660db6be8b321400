"""What one rule made of the changes that it was shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from ops.rule_trial.distinct import Distinct
from ops.rule_trial.report import (
    Addition,
    Calls,
    NearMiss,
    PassedOver,
    Removal,
    RuleTrial,
    Sample,
)
from ops.rule_trial.sampler import Sampler
from rules import Call, Enroll, Exit, MissingParent, ReEnroll, compile_rule, explain, explain_match
from rules.clause_tests import compile_clause
from rules.trial import decisive, describe

if TYPE_CHECKING:
    from collections.abc import Collection

    from ops.rule_trial.distinct import Room
    from ops.rule_trial.people import Standings
    from pipeline.change import Change
    from rules import Match, Rule, States

_HOUR_MS: Final = 3_600_000
_NOTHING: Final = frozenset[str]()
# Places of no clause, and of more than a near miss may have.
_NONE: Final = -1
_TWO: Final = -2
_NEAR_MISS_SAMPLE_COUNT: Final = 3


class _Wanted(NamedTuple):
    """Someone whom a rule adds or removes; whether something comes of it is for today to say."""

    sequence: str
    recipient: str
    re_enroll: ReEnroll | None
    is_new: bool
    hour: int


class _Added:
    """The people whom a rule adds to one sequence."""

    def __init__(self, room: Room) -> None:
        self.people = Distinct(room)
        self.already_count = self.suppressed_count = self.opted_out_count = 0
        self.enrolments_count = 0


class _Removed:
    """The people whom a rule takes out of one sequence."""

    def __init__(self, room: Room) -> None:
        self.people = Distinct(room)
        self.enrolled_count = 0


class Tally:
    """Counts for one rule. Show it a change with `take`; tell it how people stand with `settle`.

    `as_replay`: however old changes are, and all within this hour.
    """

    def __init__(
        self, rule: Rule, room: Room, *, sample_count: int, as_replay: bool = False
    ) -> None:
        self.rule = rule
        self._as_replay = as_replay
        self.compiled = compile_rule(rule, 0)
        waits = rule.missing_parent is MissingParent.WAIT
        self._tests = tuple(compile_clause(clause, waits=waits).test for clause in rule.clauses)
        self.change_count = 0
        self._matched_count = self._waiting_count = self._no_address_count = 0
        self._sync_user_count = self._too_old_count = 0
        self._room = room
        self._records = Distinct(room)
        self._added: dict[str, _Added] = {}
        self._removed: dict[str, _Removed] = {}
        self._calls: Counter[str] = Counter()
        self._hours: Counter[int] = Counter()
        self._wanted: list[_Wanted] = []
        self._samples: Sampler[Sample] = Sampler(sample_count)
        # With a single condition, every change that does not match would be a near miss.
        clause_count = len(rule.clauses) if len(rule.clauses) > 1 else 0
        self._missed_counts = [0] * clause_count
        self._missed: list[Sampler[Sample]] = [
            Sampler(min(sample_count, _NEAR_MISS_SAMPLE_COUNT)) for _ in range(clause_count)
        ]

    def take(
        self, change: Change, states: States, *, by_sync_user: bool, received_at: int
    ) -> frozenset[str]:
        """Judge a change; return the parents that have to be looked up first, nothing counted.

        `received_at` is Unix ms.
        """
        failed, is_decided = self._first_failure(states)
        if failed == _TWO:
            return _NOTHING
        if self.compiled.paths and (not is_decided or failed == _NONE):
            reads = [states.read(path, with_old=True) for path in self.compiled.paths]
            unread = frozenset(read.unread for read in reads if read.unread is not None)
            if unread:
                return unread
        by_sync_user = by_sync_user and not self.rule.include_sync_user
        age_ms = 0 if self._as_replay else received_at - change.captured_at
        too_old = age_ms > self.compiled.max_age_ms
        if failed != _NONE:
            if is_decided and not by_sync_user and not too_old:
                self._miss(change, states, failed)
            return _NOTHING
        judged = self.compiled.judge(states)
        if by_sync_user:
            self._sync_user_count += judged.match is not None
        elif judged.match is None:
            self._waiting_count += bool(judged.missing)
        elif too_old:
            self._too_old_count += 1
        else:
            hour = 0 if self._as_replay else received_at // _HOUR_MS
            self._match(change, judged.match, hour)
        return _NOTHING

    def _first_failure(self, states: States) -> tuple[int, bool]:
        """Return the place of the clause that does not hold, and whether all are decided.

        Nearly every change fails twice; there is no more to be learnt from it.
        """
        failed = _NONE
        is_decided = True
        for place, test in enumerate(self._tests):
            verdict = test(states)
            if verdict is False:
                if failed != _NONE or not self._missed:
                    return _TWO, True
                failed = place
            elif verdict is None:
                is_decided = False
        return failed, is_decided

    def _miss(self, change: Change, states: States, place: int) -> None:
        self._missed_counts[place] += 1
        sampler = self._missed[place]
        if sampler.wants():
            reads = list(map(explain, decisive(self.compiled.trace(states)[place])))
            sampler.keep(_sample(change, [], reads))

    def _match(self, change: Change, match: Match, hour: int) -> None:
        self._matched_count += 1
        self._records.add(change.record_id)
        recipients: list[str] = []
        for effect in match.actions:
            match effect:
                case Call():
                    self._calls[effect.url] += 1
                case Enroll(recipient=recipient) | Exit(recipient=recipient):
                    if recipient is None:
                        self._no_address_count += 1
                    elif isinstance(effect, Enroll):
                        recipients.append(recipient)
                        self._add(effect, recipient, hour)
                    else:
                        self._remove(effect, recipient, hour)
                case _:
                    assert_never(effect)
        if self._samples.wants():
            self._samples.keep(_sample(change, recipients, explain_match(match)))

    def _add(self, effect: Enroll, recipient: str, hour: int) -> None:
        added = self._added.setdefault(effect.sequence, _Added(self._room))
        is_new = added.people.add(recipient)
        if is_new or effect.re_enroll is ReEnroll.ALWAYS:
            self._wanted.append(_Wanted(effect.sequence, recipient, effect.re_enroll, is_new, hour))

    def _remove(self, effect: Exit, recipient: str, hour: int) -> None:
        removed = self._removed.setdefault(effect.sequence, _Removed(self._room))
        if removed.people.add(recipient):
            self._wanted.append(_Wanted(effect.sequence, recipient, None, True, hour))

    def wanted(self) -> set[tuple[str, str]]:
        """Return the (sequence, recipient) pairs that wait for `settle`."""
        return {(one.sequence, one.recipient) for one in self._wanted}

    def settle(self, standings: Standings, takes_opted_out: Collection[str]) -> None:
        """Count those that wait, by how they stand.

        `takes_opted_out`: sequences that those get into who opted out.
        """
        for one in self._wanted:
            state = standings.states.get((one.sequence, one.recipient))
            if one.re_enroll is None:
                is_in = state in {"pending", "held", "active"}
                self._removed[one.sequence].enrolled_count += is_in
                continue
            added = self._added[one.sequence]
            counts = _counts(one.re_enroll, state)
            added.enrolments_count += counts
            self._hours[one.hour] += counts
            if one.is_new:
                added.already_count += state is not None
                is_suppressed = one.recipient in standings.suppressed
                added.suppressed_count += is_suppressed
                added.opted_out_count += (
                    not is_suppressed
                    and one.recipient in standings.opted_out
                    and one.sequence not in takes_opted_out
                )
        self._wanted.clear()

    def enrolments_count(self) -> int:
        """Return how many enrolments there would have been that are new, in all sequences."""
        return sum(added.enrolments_count for added in self._added.values())

    def held_count(self) -> int:
        """Return how many of them would have been held, beyond the ceiling of their hour."""
        return sum(max(0, count - self.rule.ceiling) for count in self._hours.values())

    def report(self) -> RuleTrial:
        """Return what there is to say."""
        kept_apart = [
            self._records,
            *(added.people for added in self._added.values()),
            *(removed.people for removed in self._removed.values()),
        ]
        return RuleTrial(
            rule=self.rule.name,
            object=self.rule.object.value,
            operations=sorted(self.rule.operations),
            changes=self.change_count,
            matched=self._matched_count,
            records=len(self._records),
            passed_over=PassedOver(self._sync_user_count, self._too_old_count),
            waiting=self._waiting_count,
            no_address=self._no_address_count,
            held=self.held_count(),
            ceiling=self.rule.ceiling,
            additions=[
                Addition(
                    sequence,
                    people=len(added.people),
                    already=added.already_count,
                    suppressed=added.suppressed_count,
                    opted_out=added.opted_out_count,
                    enrolments=added.enrolments_count,
                )
                for sequence, added in sorted(self._added.items())
            ],
            removals=[
                Removal(sequence, people=len(removed.people), enrolled=removed.enrolled_count)
                for sequence, removed in sorted(self._removed.items())
            ],
            calls=[Calls(url, count) for url, count in sorted(self._calls.items())],
            is_cut=any(one.is_cut for one in kept_apart),
            samples=sorted(self._samples.kept, key=_age),
            near_misses=[
                NearMiss(describe(clause), count, sorted(sampler.kept, key=_age))
                for clause, count, sampler in zip(
                    self.rule.clauses, self._missed_counts, self._missed, strict=False
                )
                if count
            ],
        )


def _counts(re_enroll: ReEnroll, state: str | None) -> bool:
    """Tell whether an add would count, by how the recipient stands in the sequence today."""
    match re_enroll:
        case ReEnroll.ALWAYS:
            return True
        case ReEnroll.AFTER_EXIT:
            return state in {None, "exited"}
        case ReEnroll.NEVER:
            return state is None
    assert_never(re_enroll)


def _sample(change: Change, recipients: list[str], reads: list[str]) -> Sample:
    return Sample(
        object=change.object.value,
        record_id=change.record_id,
        operation=change.operation.value,
        capture_id=change.capture_id,
        captured_at=change.captured_at,
        recipients=recipients,
        reads=reads,
    )


def _age(sample: Sample) -> int:
    return sample.captured_at
