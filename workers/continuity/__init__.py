"""Whether each change begins where the one before it ended, and what is done where it does not.

A record's changes form a chain: what an update calls `old` is what the change before left. Where
that is not so, something was lost, is on its way, or happened without a trigger: a gap. The
record is right again at once, since the change brings all of its new state. What rules would have
seen is given to them once it is clear that nothing will fill the gap.
"""

from typing import Final

# What the ids of a confirmed gap's change begin with: capture, transaction and callout.
GAP_ID_PREFIX: Final = "gap:"
