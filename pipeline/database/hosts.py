"""Which of the hosts that a URL names serves now: a primary, where there are standbys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from pipeline.hosts import urls_of

if TYPE_CHECKING:
    from pipeline.settings import Secret

Opened: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT_S: Final = 5.0

# All that a statement raises, for whoever makes no difference between an outage and a refusal. A
# connection that the server is just closing answers with the driver's internal error.
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Hosts:
    """Connects to whichever host of a URL serves; begins with the one that did last.

    The driver takes several hosts too, within one timeout for all: a machine that is silent, as one
    that lost its power is, would keep it for ever from those that come after.
    """

    def __init__(self, url: Secret) -> None:
        self._urls = urls_of(url.value)
        self._served = self._urls[0]

    async def connect(self, *_: object, **options: Any) -> Opened:
        """Connect, each host within 5 s; `options` are the driver's. A pool may call this.

        Raises:
            DATABASE_ERRORS: none serves. One that could not be reached is told of rather than one
                that is a standby.
        """
        failures: list[BaseException] = []
        for url in sorted(self._urls, key=lambda url: url != self._served):
            try:
                connection: Opened = await asyncpg.connect(
                    url, timeout=CONNECT_TIMEOUT_S, **options
                )
            except DATABASE_ERRORS as error:
                failures.append(error)
            else:
                self._served = url
                return connection
        raise min(failures, key=lambda error: isinstance(error, TargetServerAttributeNotMatched))
