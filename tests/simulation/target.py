"""A target that honours idempotency keys, and answers late, or never, while faults last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workers.relay.claim import RowKind

if TYPE_CHECKING:
    import random

    from tests.simulation.watch import Watch
    from workers.relay.claim import Claim


class TargetSystem:
    """Whom the target has in which sequence, and the keys that it knows, in order."""

    def __init__(self, rng: random.Random, watch: Watch) -> None:
        self._rng = rng
        self._watch = watch
        self.trouble = 0.0
        self.under_way_count = 0
        self.keys: dict[str, None] = {}
        self.enrolled: dict[tuple[str, str], bool] = {}

    async def take(self, claim: Claim) -> bool:
        """Act on a claim unless its key is known; tell whether the relay gets an answer."""
        self.under_way_count += 1
        try:
            return await self._take(claim)
        finally:
            self.under_way_count -= 1

    async def _take(self, claim: Claim) -> bool:
        await asyncio.sleep(self._rng.choice((0.0, 0.01, 0.3 * self._rng.random())))
        trouble = self._rng.random() < self.trouble
        if trouble and self._rng.random() < 0.3:
            return False
        if claim.idempotency_key not in self.keys:
            self.keys[claim.idempotency_key] = None
            self._watch.note("told", claim.kind.value, claim.sequence, claim.recipient)
            key = (claim.sequence or "", claim.recipient)
            self.enrolled[key] = claim.kind is RowKind.ADD
        if trouble:
            # Longer than a lease at times: another relay has the row by then.
            await asyncio.sleep(8 * self._rng.random())
            return self._rng.random() < 0.5
        return True
