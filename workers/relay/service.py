"""The relay process: look for what is due, deliver it target by target; drain at a signal."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog
from yarl import URL

from pipeline import metrics
from pipeline.admin import AdminServer
from pipeline.database import DatabaseWatch, Following, open_pool, require_migrated
from pipeline.errors import Kind, classify, retry_reason
from pipeline.lifecycle import first_of, run_until_stopped, wait_or_stop
from pipeline.redaction import redacted
from pipeline.settings import SettingsError, require
from pipeline.signing import key_of
from pipeline.tally import ProcessKind, Tally
from workers.relay import outbox
from workers.relay.backlog import Backlog
from workers.relay.breaker import Closed
from workers.relay.lane import Lane
from workers.relay.targets.kinds import TargetKind
from workers.relay.targets.open_targets import NoTarget, open_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Pool
    from pipeline.settings import Settings
    from workers.relay.targets.open_targets import OpenTargets

log = structlog.get_logger()

_NAME: Final = "penstock relay"
_WEBHOOK_URL: Final = "PENSTOCK_RELAY__WEBHOOK_URL"
_WEBHOOK_SECRET: Final = "PENSTOCK_RELAY__WEBHOOK_SECRET"  # noqa: S105  the variable's name
_DATABASE_RETRY_S: Final = 1.0
# Of all targets together, so that a thousand of them do not fight for a few connections.
_MAX_STEPS: Final = 64


class Relay:
    """Moves what is due from the outbox to the targets, each in its own lane."""

    def __init__(self, settings: Settings, pool: Pool, targets: OpenTargets) -> None:
        self._settings = settings.relay
        self._pool = pool
        self._targets = targets
        self._lanes: dict[str, Lane] = {}
        self._steps: set[asyncio.Task[int]] = set()
        self._moved = asyncio.Event()
        self._problem: str | None = "the outbox was not read yet"
        self._missing: frozenset[str] = frozenset()

    def problem(self) -> str | None:
        """Say why nothing is relayed, or None."""
        return self._problem

    def missing(self) -> str | None:
        """Say for want of which settings some rows wait, or None."""
        if not self._missing:
            return None
        return f"rows wait for {', '.join(sorted(self._missing))} to be set"

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`; what is being delivered then is finished and settled."""
        try:
            while not stop.is_set():
                try:
                    await self._look()
                except Exception as error:
                    if classify(error) is not Kind.TRANSIENT:
                        raise
                    self._problem = f"holding: {redacted(error)}"
                    metrics.retries.labels(retry_reason(error)).inc()
                    log.warning("relay_held", error=error)
                    await wait_or_stop(stop, _DATABASE_RETRY_S)
                else:
                    await first_of(stop.wait(), self._moved.wait(), timeout_s=self._settings.poll_s)
        finally:
            await self._drain()

    async def look_now(self, _: object = None) -> None:
        """Look for what is due without waiting: there may be something new."""
        self._moved.set()

    async def step(self) -> int:
        """Look once; deliver and settle what was claimed; return how many rows that were."""
        steps = await self._begin_steps()
        counts = await asyncio.gather(*steps)
        self._steps.difference_update(steps)
        self._show_breakers()
        return sum(counts)

    async def _look(self) -> None:
        self._moved.clear()
        self._collect()
        if self._problem is not None:
            async with self._pool.acquire() as database:
                await require_migrated(database)
        await self._begin_steps()
        self._problem = None

    def _collect(self) -> None:
        """Forget the steps that have ended; raise the error that ended one."""
        ended = {step for step in self._steps if step.done()}
        self._steps -= ended
        errors = [error for step in ended if (error := step.exception()) is not None]
        for error in errors[1:]:
            log.warning("relay_held", error=error)
        if errors:
            raise errors[0]

    async def _begin_steps(self) -> list[asyncio.Task[int]]:
        """Begin a step in each lane that has something due; return those steps."""
        due = await outbox.due_targets(self._pool)
        lanes = sorted(self._lanes_of(due), key=lambda lane: lane.step_count)
        steps = []
        for lane in lanes[: _MAX_STEPS - len(self._steps)]:
            if lane.is_ready:
                step = asyncio.create_task(lane.step())
                step.add_done_callback(self._on_step_ended)
                steps.append(step)
        self._steps.update(steps)
        self._lanes = {
            name: lane for name, lane in self._lanes.items() if name in due or not lane.is_idle
        }
        self._show_breakers()
        return steps

    def _lanes_of(self, due: Sequence[str]) -> list[Lane]:
        """Return the lanes of targets; say which settings are missing for the others."""
        missing = set()
        for name in due:
            if name in self._lanes:
                continue
            target = self._targets.find(name)
            if isinstance(target, NoTarget):
                missing.add(target.variable)
            else:
                self._lanes[name] = Lane(name, target, self._settings, self._pool)
        if missing - self._missing:
            log.warning("rows_wait_for_settings", variables=sorted(missing))
        self._missing = frozenset(missing)
        return [self._lanes[name] for name in due if name in self._lanes]

    def _on_step_ended(self, step: asyncio.Task[int]) -> None:
        # After a step that found nothing there is nothing to hurry for.
        if step.cancelled() or step.exception() is not None or step.result():
            self._moved.set()

    def _show_breakers(self) -> None:
        open_count = Counter(
            TargetKind.of(lane.name)
            for lane in self._lanes.values()
            if not isinstance(lane.breaker.state, Closed)
        )
        for kind in TargetKind:
            metrics.relay_breaker_open.labels(kind.value).set(open_count[kind])

    async def _drain(self) -> None:
        for lane in self._lanes.values():
            lane.drain()
        for ended in await asyncio.gather(*self._steps, return_exceptions=True):
            if isinstance(ended, BaseException):
                log.warning("relay_held", error=ended)
        self._steps.clear()


def _check(settings: Settings) -> None:
    relay = settings.relay
    if not relay.webhook_url and not relay.mixmax_token:
        require(settings, _WEBHOOK_URL)
    if relay.webhook_url:
        require(settings, _WEBHOOK_SECRET)
        try:
            url = URL(relay.webhook_url)
        except ValueError as error:
            raise SettingsError(f"{_WEBHOOK_URL}: {error}") from None
        if url.scheme not in {"http", "https"} or not url.host:
            raise SettingsError(f"{_WEBHOOK_URL}: not an http:// or https:// URL")
    if relay.webhook_secret:
        try:
            key_of(relay.webhook_secret.value)
        except ValueError as error:
            raise SettingsError(f"{_WEBHOOK_SECRET}: {error}") from None


async def run(settings: Settings) -> None:
    """Relay until a signal, then drain and return.

    Raises:
        SettingsError: no target is set, or one's URL or secret is not of the form that one has.
    """
    _check(settings)
    async with (
        open_pool(settings.database, _NAME) as pool,
        open_targets(settings.relay) as targets,
    ):
        relay = Relay(settings, pool, targets)
        database = DatabaseWatch(pool)
        checks = {
            "database": database.problem,
            "outbox": relay.problem,
            "settings": relay.missing,
        }
        async with AdminServer(settings.relay.admin_host, settings.relay.admin_port, checks):
            told = Following(settings.database.url, _NAME, {"penstock_outbox": relay.look_now})
            await run_until_stopped(
                {
                    "relay": relay.run,
                    "database": database.run,
                    "listening": told.run,
                    "tally": Tally(pool, ProcessKind.RELAY).run,
                    "backlog": Backlog(pool).run,
                }
            )
    log.info("drained")
