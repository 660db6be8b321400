"""Which dead letters are meant: what listing, counting, replaying and discarding share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops.errors import WrongUsage
from pipeline.errors import Reason
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_IDS: Final = 10_000
# The last word may be a beginning. What PostgreSQL takes for no word, such as ½, is in no error.
_HAS_WORDS: Final = (
    "to_tsvector('simple', error)"
    " @@ (nullif(websearch_to_tsquery('simple', {})::text, '') || ':*')::tsquery"
)


class DeadState(StrEnum):
    """What became of a dead letter. One that was replayed and fails again is open again."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class DeadFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which dead letters are meant; None is no matter which.

    `text` is words of the error, the last of which may be a beginning. `older_than` and
    `newer_than` are Unix ms of when it failed last. `run_id` is the last run that replayed or
    discarded it: what is open of a run has come back.
    """

    state: DeadState | None = DeadState.OPEN
    ids: tuple[int, ...] | None = None
    org_id: str | None = None
    object: SObject | None = None
    reason: Reason | None = None
    text: str | None = None
    record_id: str | None = None
    capture_id: str | None = None
    older_than: int | None = None
    newer_than: int | None = None
    run_id: int | None = None

    def check(self) -> None:
        """Refuse what nothing could ever match, or too many ids.

        Raises:
            WrongUsage: says why.
        """
        if self.text is not None and not any(map(str.isalnum, self.text)):
            raise WrongUsage(f"{self.text!r} has no word in it to look for")
        if self.ids is not None and len(self.ids) > _MAX_IDS:
            raise WrongUsage(f"more than {_MAX_IDS:,} ids: filters take as many as there are")


class Where(NamedTuple):
    """A condition of SQL on `dead_letter`, with its arguments from `$1` on."""

    condition: str
    arguments: list[object]

    def also(self, condition: str, *arguments: object) -> Where:
        """Return this and a further condition, whose `{}` stand for `arguments`."""
        first = len(self.arguments) + 1
        places = [f"${first + place}" for place in range(len(arguments))]
        both = f"{self.condition} AND {condition.format(*places)}"
        return Where(both, [*self.arguments, *arguments])


def where(chosen: DeadFilter) -> Where:
    """Return a filter as a condition. Only what is asked for is in it: each has its own plan.

    Raises:
        WrongUsage: nothing could ever match.
    """
    chosen.check()
    found = Where("true", [])
    for condition, argument in _conditions(chosen):
        found = found.also(condition, argument)
    return found


def _conditions(chosen: DeadFilter) -> Iterator[tuple[str, object]]:
    for column in ("state", "org_id", "object", "reason", "record_id", "capture_id"):
        value = getattr(chosen, column)
        if value is not None:
            yield f"dead_letter.{column} = {{}}", str(value)
    if chosen.ids is not None:
        yield "dead_letter_id = ANY({}::bigint[])", list(chosen.ids)
    if chosen.run_id is not None:
        yield "run_id = {}", chosen.run_id
    if chosen.older_than is not None:
        yield "dead_at < to_timestamp({}::bigint / 1000.0)", chosen.older_than
    if chosen.newer_than is not None:
        yield "dead_at >= to_timestamp({}::bigint / 1000.0)", chosen.newer_than
    if chosen.text is not None:
        yield _HAS_WORDS, chosen.text
