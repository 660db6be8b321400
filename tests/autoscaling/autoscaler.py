"""What KEDA and the HorizontalPodAutoscaler that it makes do with a ScaledObject's numbers.

KEDA looks every `pollingInterval` and decides alone between no replica and the first ones:
`cooldownPeriod` counts only on the way to zero. Everything above is the HPA's, which asks KEDA for
the metric every 15 s. The metric is an AverageValue: messages, by the target, rounded up; nothing
is done within a tenth of that. What was asked for in the stabilisation window bounds the way down;
policies bound how fast it goes.

Sources: KEDA documentation, "ScaledObject specification" (pollingInterval, cooldownPeriod,
idleReplicaCount) and "RabbitMQ Queue" (value, activationValue); Kubernetes documentation,
"Horizontal Pod Autoscaling" (algorithm, tolerance, scaling policies, stabilization window);
kubernetes/kubernetes, pkg/controller/podautoscaler: `GetExternalPerPodMetricReplicas` and
`stabilizeRecommendationWithBehaviors`; kedacore/keda, pkg/scaling/executor: `RequestScale`.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# --horizontal-pod-autoscaler-sync-period and -tolerance, as kube-controller-manager has them.
SYNC_S: Final = 15.0
_TOLERANCE: Final = 0.1


class PolicyType(StrEnum):
    """What a scaling policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Policy(NamedTuple):
    """How many replicas may come, or go, in a period."""

    type: PolicyType
    value: int
    period_s: float


# autoscaling/v2: what counts where `behavior` says nothing.
SCALE_UP: Final = (Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15))
SCALE_DOWN: Final = (Policy(PolicyType.PERCENT, 100, 15),)
STABILISATION_S: Final = 300.0


class ScaledObject(NamedTuple):
    """A ScaledObject's numbers; `target_count` is messages a replica."""

    min_count: int
    max_count: int
    target_count: float
    activation_count: float
    polling_s: float
    cooldown_s: float
    stabilisation_s: float = STABILISATION_S
    scale_up: tuple[Policy, ...] = SCALE_UP
    scale_down: tuple[Policy, ...] = SCALE_DOWN
    sync_s: float = SYNC_S

    def sooner_down(self, factor: float) -> Self:
        """Return the same with the waits before anything goes down divided, and nothing else."""
        return self._replace(
            cooldown_s=self.cooldown_s / factor, stabilisation_s=self.stabilisation_s / factor
        )


class _Event(NamedTuple):
    """When replicas came, or went: `change` of them."""

    at_s: float
    change: int


class Autoscaler:
    """Decides how many replicas a Deployment has; whoever calls says what time it is."""

    def __init__(self, numbers: ScaledObject) -> None:
        self._numbers = numbers
        self._active_at_s = -math.inf
        # What the HPA would have done without a look back: (when, how many).
        self._recommended: list[tuple[float, int]] = []
        self._events: list[_Event] = []

    def poll(self, now_s: float, message_count: int, replica_count: int) -> int:
        """Do KEDA's part: to the first replicas and to none."""
        numbers = self._numbers
        if message_count > numbers.activation_count:
            self._active_at_s = now_s
            return replica_count or max(1, numbers.min_count)
        if numbers.min_count == 0 and now_s - self._active_at_s > numbers.cooldown_s:
            return 0
        return max(replica_count, numbers.min_count)

    def sync(self, now_s: float, message_count: int, replica_count: int) -> int:
        """Do the HPA's part. Without a replica it rests."""
        if replica_count == 0:
            return 0
        numbers = self._numbers
        wanted = replica_count
        ratio = message_count / (numbers.target_count * replica_count)
        if abs(ratio - 1) > _TOLERANCE:
            wanted = math.ceil(message_count / numbers.target_count)
        wanted = self._stabilised(now_s, wanted, replica_count)
        if wanted > replica_count:
            limit = self._limit(now_s, numbers.scale_up, replica_count, max)
            result = max(replica_count, min(wanted, limit, numbers.max_count))
        else:
            limit = self._limit(now_s, numbers.scale_down, replica_count, min)
            result = min(replica_count, max(wanted, limit, numbers.min_count, 1))
        if result != replica_count:
            self._events.append(_Event(now_s, result - replica_count))
        return result

    def _stabilised(self, now_s: float, wanted: int, replica_count: int) -> int:
        since_s = now_s - self._numbers.stabilisation_s
        self._recommended = [one for one in self._recommended if one[0] > since_s]
        highest = max([wanted, *(count for _, count in self._recommended)])
        self._recommended.append((now_s, wanted))
        # On the way up it does not look back.
        return max(wanted, min(replica_count, highest))

    def _limit(
        self,
        now_s: float,
        policies: Sequence[Policy],
        replica_count: int,
        select: Callable[[Sequence[int]], int],
    ) -> int:
        """Return how far the policies let it go; of several the one that lets it go furthest."""
        sign = 1 if select is max else -1
        limits = []
        for policy in policies:
            gone = sum(e.change for e in self._events if e.at_s > now_s - policy.period_s)
            before = replica_count - gone
            step = policy.value if policy.type is PolicyType.PODS else before * policy.value / 100
            limits.append(math.ceil(before + sign * step))
        return select(limits)
