"""What `fire` takes: rules that matched, each with the change that they matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.objects import SObject
    from rules import Match

# (org, transaction, record, rule).
FiringKey: TypeAlias = tuple[str, str, str, str]


class Occasion(Protocol):
    """What a firing keeps of the change that it is of."""

    @property
    def org_id(self) -> str:
        """The org."""

    @property
    def object(self) -> SObject:
        """What the record is."""

    @property
    def record_id(self) -> str:
        """The record that the rule matched."""

    @property
    def capture_id(self) -> str:
        """The trigger invocation."""

    @property
    def transaction_id(self) -> str:
        """The transaction that it was in."""

    @property
    def sequence(self) -> int:
        """Which invocation of the transaction it was."""

    @property
    def captured_at(self) -> int:
        """When it was, in Unix ms."""

    @property
    def order(self) -> tuple[int, int, str]:
        """The key by which changes are ordered."""


class Fired(NamedTuple):
    """A rule that matched a change.

    `cause_record_id` is the record whose change had `change.record_id` evaluated again: then
    `change` is of that change's capture and transaction. `run_id` is the replay that had the rule
    asked again, if one had.
    """

    change: Occasion
    match: Match
    cause_record_id: str | None = None
    run_id: int | None = None

    @property
    def key(self) -> FiringKey:
        """What makes a firing the same: a transaction fires a rule on a record once."""
        return (
            self.change.org_id,
            self.change.transaction_id,
            self.change.record_id,
            self.match.rule,
        )

    @property
    def place(self) -> tuple[tuple[int, int, str], str]:
        """The key by which the first capture of a transaction decides."""
        return self.change.order, self.cause_record_id or ""


def earliest(fired: Iterable[Fired]) -> list[Fired]:
    """Return the first of each key, in the order of the keys."""
    first: dict[FiringKey, Fired] = {}
    for one in fired:
        stands = first.get(one.key)
        if stands is None or one.place < stands.place:
            first[one.key] = one
    return [first[key] for key in sorted(first)]
