"""How long a row waits after an attempt that was held.

A target that is down for a week is an outage, not an error: nothing is given up.

| attempt | 1   | 2   | 3    | 4     | 5      | 6 and later |
|---------|-----|-----|------|-------|--------|-------------|
| pause   | 1 s | 5 s | 30 s | 2 min | 10 min | 30 min      |
"""

from __future__ import annotations

import random
from typing import Final

RETRY_DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)
_JITTER: Final = 0.2


def retry_delay_s(attempt: int) -> float:
    """Return the pause after `attempt` (from 1), jittered so that retries do not come in step."""
    delay_s = RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1]
    return delay_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  no secret hangs on it
