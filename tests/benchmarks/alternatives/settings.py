"""What an alternative's processes are told, by environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

BROKER_URL: Final = os.environ.get("BENCH_BROKER_URL", "")
DATABASE_URL: Final = os.environ.get("BENCH_DATABASE_URL", "")
PORT: Final = int(os.environ.get("BENCH_PORT", "0"))
SECRET: Final = os.environ.get("BENCH_SECRET", "")
READY_FILE: Final = os.environ.get("BENCH_READY_FILE", "")
# Messages that a worker has at once, and as many connections as keep them busy.
PREFETCH: Final = int(os.environ.get("BENCH_PREFETCH", "50"))
POOL_SIZE: Final = int(os.environ.get("BENCH_POOL_SIZE", "10"))
QUEUE: Final = "changes"


def tell_ready() -> None:
    """Say that the process can do its work."""
    Path(READY_FILE).touch()
