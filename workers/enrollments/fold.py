"""An enrolment is the fold of what happened, in the order of the changes, not of their arrival.

A recipient is added and removed by rules, and lives on the records that added them: while enrolled,
each add brings its record in (also one that does not count again), a deletion takes its record out,
and a merge or a conversion puts the successor in its place. When the last record goes, the
recipient exits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from rules import ReEnroll

if TYPE_CHECKING:
    from collections.abc import Iterable

# (captured_at, sequence, capture_id): what orders changes.
Order: TypeAlias = tuple[int, int, str]

NOBODY: Final = "nothing adds the recipient"
_DELETED: Final = "exited: its last record was deleted"


class EndKind(StrEnum):
    """How a record ceased to be itself."""

    DELETED = "deleted"
    MERGED = "merged"
    CONVERTED = "converted"


class Added(NamedTuple):
    """A rule's add. `ceiling`: enrolments an hour beyond which the rule's are held."""

    captured_at: int
    sequence: int
    capture_id: str
    rule: str
    action: int
    record_id: str
    firing_id: int
    re_enroll: ReEnroll
    ceiling: int | None


class Removed(NamedTuple):
    """A rule's exit."""

    captured_at: int
    sequence: int
    capture_id: str
    rule: str
    action: int
    record_id: str


class Ended(NamedTuple):
    """A record's end. A deleted one has no successor."""

    captured_at: int
    sequence: int
    capture_id: str
    record_id: str
    kind: EndKind
    successor_id: str | None


Event: TypeAlias = Added | Removed


class Standing(NamedTuple):
    """How an enrolment stands. Every generation up to `exited_generation` is over.

    `folded`: the last change that was folded; None before any.
    """

    generation: int = 0
    exited_generation: int = 0
    reason: str | None = NOBODY
    folded: Order | None = None

    @property
    def is_enrolled(self) -> bool:
        """Whether the last generation is not over."""
        return self.generation > self.exited_generation


class Counted(NamedTuple):
    """An add that made a generation."""

    generation: int
    event: Added


class Exited(NamedTuple):
    """The end of a generation; by no rule if its records ended."""

    generation: int
    rule: str | None


class Folded(NamedTuple):
    """How the enrolment stands now, and what was counted on the way, in order.

    `decided_by` is the last add that counted; None if none of those folded did.
    """

    standing: Standing
    decided_by: Added | None
    steps: tuple[Counted | Exited, ...]


def fold(events: Iterable[Event], ends: Iterable[Ended] = ()) -> Folded:
    """Fold all that was ever kept of an enrolment, given in any order.

    `ends` are those of the records of `events`, of their successors and so on; others do no harm.
    """
    run = _Run(Standing())
    for step in sorted([*events, *ends], key=_place):
        run.take(step)
    return run.folded()


def go_on(standing: Standing, events: Iterable[Event]) -> Folded:
    """Fold events that come after all that `standing` has seen, of records without an end."""
    run = _Run(standing)
    for event in sorted(events, key=_place):
        run.take(event)
    return run.folded()


def _place(step: Event | Ended) -> tuple[int, int, str, bool, str, int, str]:
    """Order by change, then rule, action and record; a record's end after what its change did."""
    match step:
        case Added() | Removed():
            return (*step[:3], False, step.rule, step.action, step.record_id)
        case Ended():
            return (*step[:3], True, "", 0, step.record_id)
        case _:
            assert_never(step)


class _Run:
    """A fold under way."""

    def __init__(self, start: Standing) -> None:
        self._generation, self._exited_generation, self._reason, self._last = start
        self._decided_by: Added | None = None
        self._steps: list[Counted | Exited] = []
        # The records that the recipient is enrolled by, each with the change that last added it.
        self._sources: dict[str, Order | None] = {}

    def folded(self) -> Folded:
        standing = Standing(self._generation, self._exited_generation, self._reason, self._last)
        return Folded(standing, self._decided_by, tuple(self._steps))

    def take(self, step: Event | Ended) -> None:
        self._last = step[:3]
        match step:
            case Added():
                self._add(step)
            case Removed():
                self._exit(f"exited: rule {step.rule}", step.rule)
            case Ended():
                self._end(step)
            case _:
                assert_never(step)

    @property
    def _is_enrolled(self) -> bool:
        return self._generation > self._exited_generation

    def _add(self, event: Added) -> None:
        if self._generation == 0 or _counts_again(event.re_enroll, enrolled=self._is_enrolled):
            self._generation += 1
            self._reason = None
            self._decided_by = event
            self._steps.append(Counted(self._generation, event))
        if self._is_enrolled:
            self._sources[event.record_id] = event[:3]

    def _exit(self, reason: str, rule: str | None) -> None:
        if self._is_enrolled:
            self._exited_generation = self._generation
            self._reason = reason
            self._steps.append(Exited(self._generation, rule))
            self._sources.clear()

    def _end(self, end: Ended) -> None:
        # A rule on deletions enrols by a record that is no more: its own end takes nothing away.
        is_deletion = end.successor_id is None
        if end.record_id not in self._sources or (
            is_deletion and self._sources[end.record_id] == end[:3]
        ):
            return
        del self._sources[end.record_id]
        if end.successor_id is not None:
            self._sources.setdefault(end.successor_id, None)
            self._reason = f"{end.kind} into {end.successor_id}"
        elif not self._sources:
            self._exit(_DELETED, None)


def _counts_again(re_enroll: ReEnroll, *, enrolled: bool) -> bool:
    match re_enroll:
        case ReEnroll.NEVER:
            return False
        case ReEnroll.AFTER_EXIT:
            return not enrolled
        case ReEnroll.ALWAYS:
            return True
        case _:
            assert_never(re_enroll)
