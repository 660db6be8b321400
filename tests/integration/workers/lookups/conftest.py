"""A sweep as a worker runs it, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.settings import Worker
from workers.lookups.sweep import Sweep

if TYPE_CHECKING:
    from pipeline.database import Pool


@pytest.fixture
def sweep(pool: Pool) -> Sweep:
    return Sweep(pool, Worker())
