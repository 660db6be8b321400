"""One target's deliveries: claimed a few at a time, told at its pace, settled as it answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from pipeline import metrics
from pipeline.errors import RetryReason
from workers.relay import outbox
from workers.relay.breaker import Breaker, Closed, Open
from workers.relay.claim import Delayed, Send, Superseded, Suppressed
from workers.relay.pace import Pace
from workers.relay.retries import retry_delay_s
from workers.relay.targets.answers import Delivered, Gone, Held, Refused, SendApart
from workers.relay.targets.kinds import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Pool
    from pipeline.settings import Relay
    from workers.relay.claim import Claim
    from workers.relay.outbox import Outcome
    from workers.relay.targets.answers import Answer
    from workers.relay.targets.open_targets import Target

log = structlog.get_logger()

# A request that hangs holds its own step up, and none of the others.
_MAX_STEPS: Final = 8
# More is claimed once those that were claimed have nearly all gone out.
_MAX_BACKLOG_S: Final = 0.25


class Lane:
    """The way to one target; what goes on in it holds no other target up."""

    def __init__(self, name: str, target: Target, settings: Relay, pool: Pool) -> None:
        clock_s = asyncio.get_running_loop().time
        self.name = name
        self.breaker = Breaker(clock_s)
        self._target = target
        self._settings = settings
        self._pool = pool
        self._clock_s = clock_s
        self._pace = Pace(settings.requests_per_s, clock_s)
        self._step_count = 0
        self._is_draining = False
        # Until when the target asked to be left alone.
        self._not_before_s = 0.0

    @property
    def step_count(self) -> int:
        """How many steps are under way."""
        return self._step_count

    @property
    def is_ready(self) -> bool:
        """Whether another step may begin."""
        return (
            self._step_count < _MAX_STEPS
            and self._pace.backlog_s < _MAX_BACKLOG_S
            and self.breaker.is_ready
            and not self._is_asked_to_wait
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be forgotten with this lane."""
        return (
            self._step_count == 0
            and self.breaker.state == Closed(0)
            and not self._pace.backlog_s
            and not self._is_asked_to_wait
        )

    @property
    def _is_asked_to_wait(self) -> bool:
        return self._clock_s() < self._not_before_s

    def drain(self) -> None:
        """Send nothing more; what has not gone out yet is given back."""
        self._is_draining = True

    async def step(self) -> int:
        """Claim a few rows, deliver and settle them; return how many that were."""
        self._step_count += 1
        is_probe = self.breaker.start()
        try:
            return await self._step(1 if is_probe else self._target.claim_count)
        finally:
            self._step_count -= 1
            if is_probe:
                self.breaker.not_probed()

    async def _step(self, limit: int) -> int:
        until_s = self._clock_s() + self._settings.lease_s - self._settings.timeout_s
        claims = await outbox.claim(
            self._pool, limit=limit, lease_s=self._settings.lease_s, target=self.name
        )
        to_send = await self._set_aside(claims)
        await self._send_all(self._target.batches(to_send), until_s)
        return len(claims)

    async def _set_aside(self, claims: Sequence[Claim]) -> list[Claim]:
        """Settle what is not to be sent; return what is."""
        to_send = []
        unsent: list[Outcome] = []
        for claim in claims:
            match claim.verdict:
                case Send():
                    to_send.append(claim)
                case Superseded():
                    unsent.append(outbox.supersession(claim))
                    metrics.outbox_deliveries.labels(claim.object, "superseded").inc()
                case Suppressed(reason):
                    unsent.append(outbox.suppression(claim, reason))
                    metrics.outbox_deliveries.labels(claim.object, "suppressed").inc()
                    log.info("delivery_suppressed", outbox_id=claim.outbox_id)
                case Delayed():
                    metrics.outbox_deliveries.labels(claim.object, "delayed").inc()
                case _:
                    assert_never(claim.verdict)
        await outbox.settle(self._pool, unsent)
        return to_send

    async def _send_all(self, batches: Sequence[Sequence[Claim]], until_s: float) -> None:
        """Send batches side by side; each is finished, whatever becomes of its neighbours."""
        sent = await asyncio.gather(
            *(self._send(batch, until_s) for batch in batches), return_exceptions=True
        )
        for error in sent:
            if error is not None:
                raise error

    async def _send(self, batch: Sequence[Claim], until_s: float) -> None:
        await self._pace.turn()
        # Another relay may have the rows when the lease is over; a target that just fell silent, or
        # a process that is to end, is not bothered with them.
        is_late = self._clock_s() >= until_s
        is_unwelcome = isinstance(self.breaker.state, Open) or self._is_asked_to_wait
        if is_late or self._is_draining or is_unwelcome:
            await outbox.settle(self._pool, [outbox.untried(claim) for claim in batch])
            return
        answers = await self._deliver(batch)
        if isinstance(answers, SendApart):
            self.breaker.answered()
            await self._send_all([[claim] for claim in batch], until_s)
            return
        holds = [answer for answer in answers if isinstance(answer, Held)]
        asked_s = max((hold.retry_after_s or 0.0 for hold in holds), default=0.0)
        self._not_before_s = max(self._not_before_s, self._clock_s() + asked_s)
        if len(holds) == len(answers) and not all(hold.blames_row for hold in holds):
            self.breaker.held()
        else:
            self.breaker.answered()
        await self._settle(batch, answers)

    async def _deliver(self, batch: Sequence[Claim]) -> Sequence[Answer] | SendApart:
        try:
            return await self._target.deliver(batch)
        except Exception as error:
            # Whatever a row, or an odd answer, brings up in a library holds up that row alone.
            log.exception("delivery_failed", outbox_ids=[claim.outbox_id for claim in batch])
            return [Held(f"delivering failed: {type(error).__name__}")] * len(batch)

    async def _settle(self, batch: Sequence[Claim], answers: Sequence[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Gone):
                await outbox.stop_target(self._pool, self.name, answer.error)
                # A rule's URL may be a secret in itself: `penstock relay resume` shows it.
                log.error("target_stopped", kind=TargetKind.of(self.name), error=answer.error)
        # One pause for all that were tried as often, so that they go together the next time.
        pauses_s = {claim.attempt: retry_delay_s(claim.attempt) for claim in batch}
        outcomes = [
            _outcome(claim, answer, pauses_s[claim.attempt])
            for claim, answer in zip(batch, answers, strict=True)
        ]
        await outbox.settle(self._pool, outcomes)


def _outcome(claim: Claim, answer: Answer, pause_s: float) -> Outcome:
    """Return what an answer makes of a claim; count it, and log it unless all is well."""
    match answer:
        case Delivered():
            metrics.outbox_deliveries.labels(claim.object, "delivered").inc()
            waited_s = max(0.0, time.time() - claim.created_at_s)
            metrics.outbox_seconds.labels(claim.object).observe(waited_s)
            log.info(
                "delivered",
                outbox_id=claim.outbox_id,
                org_id=claim.org_id,
                capture_id=claim.cause.capture_id,
                kind=claim.kind.value,
                waited_ms=round(waited_s * 1000),
            )
            return outbox.delivery(claim)
        case Refused(error, logged):
            metrics.outbox_deliveries.labels(claim.object, "refused").inc()
            log.warning("delivery_refused", outbox_id=claim.outbox_id, error=logged or error)
            return outbox.refusal(claim, error)
        case Held(error, retry_after_s, is_known, logged=logged):
            pause_s = max(pause_s, retry_after_s or 0.0)
            metrics.outbox_deliveries.labels(claim.object, "held").inc()
            metrics.retries.labels(RetryReason.TARGET_HELD).inc()
            log.warning("delivery_held", outbox_id=claim.outbox_id, error=logged or error)
            return outbox.retry(claim, error, pause_s=pause_s, is_known=is_known)
        case Gone(error):
            metrics.outbox_deliveries.labels(claim.object, "held").inc()
            return outbox.untried(claim, error)
        case _:
            assert_never(answer)
