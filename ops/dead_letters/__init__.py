"""Dead letters: found, shown whole, replayed and discarded."""

from ops.dead_letters.filter import DeadFilter, DeadState
from ops.dead_letters.listing import DeadGroup, DeadLetterRow, grouped, listing
from ops.dead_letters.plan import DEFAULT_RATE_PER_S, DeadCount, DeadPlan, begin, plan
from ops.dead_letters.whole import DeadCallout, DeadLetterWhole, show

__all__ = [
    "DEFAULT_RATE_PER_S",
    "DeadCallout",
    "DeadCount",
    "DeadFilter",
    "DeadGroup",
    "DeadLetterRow",
    "DeadLetterWhole",
    "DeadPlan",
    "DeadState",
    "begin",
    "grouped",
    "listing",
    "plan",
    "show",
]
