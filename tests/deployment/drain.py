"""How long a process may take from its signal to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import broker
from pipeline.database import pool
from workers import channels

if TYPE_CHECKING:
    from pipeline.settings import Settings

# A consumer is cancelled, a batch that goes on is left, the channel, the connection and the pool
# are closed: each gives up by itself, after so long where a server is frozen.
CLOSING_S: Final = (
    2 * channels.CLOSE_TIMEOUT_S + 2.0 + broker.CLOSE_TIMEOUT_S + pool.CLOSE_TIMEOUT_S
)


def longest_s(settings: Settings) -> float:
    """Return what any kind of process may take: what is under way, and closing."""
    under_way_s = max(settings.ingest.drain_s, settings.worker.drain_s, settings.relay.timeout_s)
    return under_way_s + CLOSING_S
