"""How long each stage of a batch takes."""

from __future__ import annotations

import time
from enum import StrEnum

from pipeline import metrics


class Stage(StrEnum):
    """What a worker does with a batch, in this order; decoding and settling go by deliveries."""

    DECODE = "decode"
    HISTORY = "history"
    RECORDS = "records"
    EVALUATE = "evaluate"
    FIRE = "fire"
    COMMIT = "commit"
    SETTLE = "settle"


_SECONDS = {stage: metrics.stage_seconds.labels(stage) for stage in Stage}


class Stopwatch:
    """Measures one stage after the other."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def lap(self, stage: Stage) -> None:
        """Count the time since the last lap for a stage."""
        now = time.monotonic()
        _SECONDS[stage].observe(now - self._since)
        self._since = now
