"""Asking the rules about a whole batch, in rounds: what they want to look up is read in between."""

from __future__ import annotations

from collections import ChainMap, Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import metrics
from pipeline.errors import PermanentError, Reason
from rules.match import Verdicts
from rules.model import MAX_LOOKUPS
from rules.states import NO_PREVIOUS
from workers.enrollments import Fired
from workers.lookups.parents import Parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.change import Change
    from pipeline.database import Connection
    from workers.lookups.cases import Case
    from workers.rule_book import OrgRules, RuleBook

_NO_VERDICTS: Final = Verdicts()
# One path is followed from the new value of its reference, then from the old one.
_MAX_ROUNDS: Final = 2 * MAX_LOOKUPS


class Judged(NamedTuple):
    """What the rules make of a case.

    `change` is the case's own, decoded, if it may be looked at again; a thousand decoded records
    that nobody looks at would cost as much as judging them.
    """

    case: Case
    change: Change | None
    verdicts: Verdicts

    def fired(self) -> Iterator[Fired]:
        """Yield what matched, as `fire` takes it."""
        cause = self.case.cause
        for match in self.verdicts.matches:
            cause_record_id = None if cause is None else cause.change.record_id
            yield Fired(self.case.change, match, cause_record_id, self.case.run_id)


async def evaluate(connection: Connection, book: RuleBook, cases: Iterable[Case]) -> list[Judged]:
    """Judge the cases, in their order; each round of lookups is one statement for all of them.

    Without lookups there is no statement, and what no rule listens to is not even decoded.

    Raises:
        PermanentError: a record cannot be decoded, or evaluating failed of itself.
        Exception: a lookup failed; `pipeline.errors.classify` tells what follows.
    """
    parents = Parents()
    judged = [_first(book, case) for case in cases]
    asked = Counter(one.case.change.object for one in judged if one.verdicts is not _NO_VERDICTS)
    for sobject, count in asked.items():
        metrics.evaluations.labels(sobject).inc(count)
    open_ = [place for place, one in enumerate(judged) if one.verdicts.unread]
    for _ in range(_MAX_ROUNDS):
        if not open_:
            return judged
        wanted = {
            (judged[place].case.change.org_id, record_id)
            for place in open_
            for record_id in judged[place].verdicts.unread
        }
        await parents.read(connection, wanted)
        for place in open_:
            case, change, _ = judged[place]
            rules = book.of(case.change.org_id)
            if change is not None and rules is not None:
                judged[place] = Judged(case, change, _ask(rules, case, change, parents))
        open_ = [place for place in open_ if judged[place].verdicts.unread]
    if open_:
        raise PermanentError(Reason.RULE_FAILED, "a rule looks up more records than a path has")
    return judged


def _first(book: RuleBook, case: Case) -> Judged:
    received = case.change
    rules = book.of(received.org_id)
    if rules is None or not rules.rules.listens_to(received.object, received.operation):
        return Judged(case, None, _NO_VERDICTS)
    change = received.decode(rules.reader(received.object))
    verdicts = _ask(rules, case, change, None)
    return Judged(case, change if verdicts.unread or rules.climbs else None, verdicts)


def _ask(rules: OrgRules, case: Case, change: Change, parents: Parents | None) -> Verdicts:
    """Ask the rules. Nothing here waits for anything, so whatever fails is no outage."""
    received, cause = case.change, case.cause
    known = {} if parents is None else parents.of(received.org_id)
    try:
        return rules.rules.evaluate(
            change,
            by_sync_user=received.actor_id == rules.sync_user_id,
            age_ms=received.received_at - received.seen_at if case.run_id is None else 0,
            zone=rules.zone,
            parents=known if cause is None else ChainMap(cause.parents, known),
            previous=NO_PREVIOUS if cause is None else cause.previous,
            only=case.only,
        )
    except PermanentError:
        raise
    except Exception as error:
        raise PermanentError(
            Reason.RULE_FAILED, f"evaluating the rules failed: {type(error).__name__}"
        ) from error
