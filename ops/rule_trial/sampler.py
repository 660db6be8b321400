"""A few of many, each as likely as any other, and the same few when it is done again."""

from __future__ import annotations

import math
import random
from typing import Generic, TypeVar

T = TypeVar("T")


class Sampler(Generic[T]):
    """Keeps at most `size` of what comes by: ask `wants` of each, and `keep` it if so.

    Chance decides how many to pass over, so that most of them cost next to nothing.
    Source: K.-H. Li, "Reservoir-Sampling Algorithms of Time Complexity O(n(1 + log(N/n)))",
    algorithm L.
    """

    def __init__(self, size: int) -> None:
        self.kept: list[T] = []
        self._size = size
        self._random = random.Random(0)  # noqa: S311  a sample, no secret
        self._weight = 1.0
        self._passing_count = 0 if size else math.inf

    def wants(self) -> bool:
        """Tell whether the next one that comes by is to be kept."""
        if self._passing_count:
            self._passing_count -= 1
            return False
        return True

    def keep(self, item: T) -> None:
        """Keep one that is wanted, in the place of another one once there are enough."""
        if len(self.kept) < self._size:
            self.kept.append(item)
        else:
            self.kept[self._random.randrange(self._size)] = item
        if len(self.kept) == self._size:
            self._weight *= math.exp(math.log(1 - self._random.random()) / self._size)
            # A weight that has become too small to be told from 0 passes over all that may come.
            rate = math.log1p(-self._weight) if self._weight < 1 else -math.inf
            passing = math.log(1 - self._random.random()) / rate if rate else math.inf
            self._passing_count = math.floor(passing) if passing < math.inf else passing
