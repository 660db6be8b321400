"""The relay process: claim, deliver side by side, settle; drain at a signal."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, assert_never

import aiohttp
import structlog
from yarl import URL

from pipeline import metrics
from pipeline.admin import AdminServer
from pipeline.database import open_pool, require_migrated
from pipeline.errors import Kind, classify
from pipeline.lifecycle import run_until_stopped, wait_or_stop
from pipeline.settings import SettingsError
from pipeline.signing import key_of
from workers.relay import outbox
from workers.relay.webhook import Delivered, Held, Refused, WebhookTarget

if TYPE_CHECKING:
    from pipeline.database import Pool
    from pipeline.settings import Relay as RelaySettings
    from pipeline.settings import Settings
    from workers.relay.outbox import Claim

log = structlog.get_logger()

# The pause after attempt 1, 2, 3 …; the last one goes on. A target that is down for a week is an
# outage, not an error: nothing is given up.
#
#   attempt   1    2    3     4      5       6
#   pause     1 s  5 s  30 s  2 min  10 min  30 min
RETRY_DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)
_JITTER: Final = 0.2
_DATABASE_RETRY_S: Final = 1.0


class Relay:
    """Moves what is due from the outbox to the target."""

    def __init__(self, settings: Settings, pool: Pool, target: WebhookTarget) -> None:
        self._settings = settings.relay
        self._pool = pool
        self._target = target
        self._problem: str | None = "the outbox was not read yet"

    def problem(self) -> str | None:
        """Say why nothing is relayed, or None."""
        return self._problem

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`; what is being delivered then is finished and settled."""
        pause_s = 0.0
        while not await wait_or_stop(stop, pause_s):
            try:
                if self._problem is not None:
                    async with self._pool.acquire() as database:
                        await require_migrated(database)
                claimed_count = await self.step()
                pause_s = 0.0 if claimed_count else self._settings.poll_s
                self._problem = None
            except Exception as error:
                if classify(error) is not Kind.TRANSIENT:
                    raise
                self._problem = f"holding: {error!r}"
                log.warning("relay_held", error=repr(error))
                pause_s = _DATABASE_RETRY_S

    async def step(self) -> int:
        """Claim what is due, deliver and settle it; return how many rows that were."""
        claims = await outbox.claim(
            self._pool, limit=self._settings.batch_count, lease_s=self._settings.lease_s
        )
        # Each delivery is finished and settled, whatever becomes of its neighbours.
        settled = await asyncio.gather(
            *(self._relay(claim) for claim in claims), return_exceptions=True
        )
        for error in settled:
            if error is not None:
                raise error
        return len(claims)

    async def _relay(self, claim: Claim) -> None:
        if claim.is_superseded:
            await outbox.superseded(self._pool, claim)
            metrics.outbox_deliveries.labels("superseded").inc()
            return
        answer = await self._target.deliver(claim)
        match answer:
            case Delivered():
                await outbox.delivered(self._pool, claim)
                metrics.outbox_deliveries.labels("delivered").inc()
                metrics.outbox_seconds.observe(max(0.0, time.time() - claim.created_at_s))
            case Refused(error):
                await outbox.refused(self._pool, claim, error)
                metrics.outbox_deliveries.labels("refused").inc()
                log.warning("delivery_refused", outbox_id=claim.outbox_id, error=error)
            case Held(error, retry_after_s):
                delay_s = max(retry_delay_s(claim.attempt), retry_after_s or 0.0)
                await outbox.retry_later(self._pool, claim, delay_s=delay_s, error=error)
                metrics.outbox_deliveries.labels("held").inc()
                log.warning("delivery_held", outbox_id=claim.outbox_id, error=error)
            case _:
                assert_never(answer)


def retry_delay_s(attempt: int) -> float:
    """Return the pause after `attempt` (from 1), jittered so that retries do not come in step."""
    delay_s = RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1]
    return delay_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  no secret hangs on it


def _check(settings: RelaySettings) -> None:
    try:
        key_of(settings.webhook_secret.value)
    except ValueError as error:
        raise SettingsError(f"PENSTOCK_RELAY__WEBHOOK_SECRET: {error}") from None
    try:
        url = URL(settings.webhook_url)
    except ValueError as error:
        raise SettingsError(f"PENSTOCK_RELAY__WEBHOOK_URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError("PENSTOCK_RELAY__WEBHOOK_URL: not an http:// or https:// URL")


async def run(settings: Settings) -> None:
    """Relay until a signal, then drain and return.

    Raises:
        SettingsError: the target's URL or secret is not of the form that one has.
    """
    relay_settings = settings.relay
    _check(relay_settings)
    async with (
        open_pool(settings.database, "penstock relay") as pool,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        relay = Relay(settings, pool, WebhookTarget(relay_settings, session))
        admin = AdminServer(
            relay_settings.admin_host, relay_settings.admin_port, {"outbox": relay.problem}
        )
        async with admin:
            await run_until_stopped({"relay": relay.run})
    log.info("drained")
