"""Dead letters: found, shown whole, replayed and discarded."""

from ops.dead_letters.filter import DeadFilter, DeadState
from ops.dead_letters.listing import DeadLetterRow, DeadLetterWhole, listing, show

__all__ = ["DeadFilter", "DeadLetterRow", "DeadLetterWhole", "DeadState", "listing", "show"]
