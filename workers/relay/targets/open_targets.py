"""The targets that this relay can deliver to, by the names that outbox rows have of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from workers.relay.guard import Guard, literally_named
from workers.relay.targets.kinds import TargetKind
from workers.relay.targets.mixmax import MixmaxTarget
from workers.relay.targets.webhook import WebhookTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import aiohttp

    from pipeline.settings import Relay
    from workers.relay.claim import Claim
    from workers.relay.targets.answers import Answer, SendApart


class Target(Protocol):
    """One target: how many rows to claim for it, which of them go together, and the telling.

    `deliver` answers for each row of a batch, in order, or asks for them one by one.
    """

    @property
    def claim_count(self) -> int: ...  # noqa: D102  as the class says

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]: ...  # noqa: D102  likewise

    async def deliver(self, batch: Sequence[Claim]) -> list[Answer] | SendApart: ...  # noqa: D102  likewise


class NoTarget(NamedTuple):
    """Rows that this relay cannot deliver; `variable` is what has to be set."""

    variable: str


class OpenTargets:
    """Finds targets by name. Each kind connects where its own settings allow it, nowhere else."""

    def __init__(
        self,
        settings: Relay,
        *,
        webhook: aiohttp.ClientSession,
        mixmax: aiohttp.ClientSession,
        calls: aiohttp.ClientSession,
    ) -> None:
        self._settings = settings
        self._webhook = webhook
        self._mixmax = mixmax
        self._calls = calls

    def find(self, name: str) -> Target | NoTarget:
        """Return the target of that name, or what is missing for it."""
        match TargetKind.of(name):
            case TargetKind.WEBHOOK if self._settings.webhook_url:
                return WebhookTarget(self._settings, self._webhook)
            case TargetKind.WEBHOOK:
                return NoTarget("PENSTOCK_RELAY__WEBHOOK_URL")
            case TargetKind.MIXMAX if self._settings.mixmax_token:
                return MixmaxTarget(self._settings, self._mixmax)
            case TargetKind.MIXMAX:
                return NoTarget("PENSTOCK_RELAY__MIXMAX_TOKEN")
            case TargetKind.CALL if self._settings.webhook_secret:
                return WebhookTarget(self._settings, self._calls, rule_url=name)
            case TargetKind.CALL:
                return NoTarget("PENSTOCK_RELAY__WEBHOOK_SECRET")


@asynccontextmanager
async def open_targets(settings: Relay) -> AsyncIterator[OpenTargets]:
    """Yield the targets; their connections close afterwards."""
    allowed = settings.allowed_networks()
    async with (
        Guard((*allowed, *literally_named(settings.webhook_url))).session() as webhook,
        Guard((*allowed, *literally_named(settings.mixmax_url))).session() as mixmax,
        Guard(allowed).session() as calls,
    ):
        yield OpenTargets(settings, webhook=webhook, mixmax=mixmax, calls=calls)
