"""How much waits in a queue, as KEDA's RabbitMQ scaler asks for it over http.

It counts what waits and what workers hold, as the management API has it, which is up to 5 s old.

Source: KEDA documentation, "RabbitMQ Queue": protocol, and the note on unacknowledged messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from yarl import URL

from pipeline import topology

if TYPE_CHECKING:
    import aiohttp

    from pipeline.objects import SObject


class Depth:
    """Asks for one object's queue, in the virtual host that a URL of the broker names."""

    def __init__(
        self, session: aiohttp.ClientSession, management_url: str, broker_url: str, sobject: SObject
    ) -> None:
        self._session = session
        vhost = urlsplit(broker_url).path.removeprefix("/") or quote("/", safe="")
        queue = topology.queue_name(sobject)
        self._url = URL(f"{management_url}/api/queues/{vhost}/{queue}", encoded=True)

    async def __call__(self) -> int:
        """Return how many messages KEDA sees."""
        async with self._session.get(self._url) as response:
            response.raise_for_status()
            # A queue without statistics yet has none.
            return int((await response.json()).get("messages", 0))
