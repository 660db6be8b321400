"""The ScaledObject's numbers: as helm renders the chart, or where helm is missing, as it would."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.autoscaling.autoscaler import (
    SCALE_DOWN,
    SCALE_UP,
    STABILISATION_S,
    Policy,
    PolicyType,
    ScaledObject,
)
from tests.deployment.check import DEPLOY, TIMEOUT_S, found

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.objects import SObject

CHART: Final[Path] = DEPLOY / "helm" / "penstock"


def read(sobject: SObject) -> ScaledObject:
    """Return the numbers of an object's workers."""
    return rendered(sobject) if found("helm") else from_values()


def rendered(sobject: SObject) -> ScaledObject:
    """Return what the ScaledObject itself says, as helm makes it."""
    helm = found("helm") or "helm"
    template = [helm, "template", "penstock", str(CHART), "--set", "keda.enabled=true"]
    done = subprocess.run(template, capture_output=True, timeout=TIMEOUT_S, check=True)  # noqa: S603
    (spec,) = (
        document["spec"]
        for document in yaml.safe_load_all(done.stdout)
        if document
        and document["kind"] == "ScaledObject"
        and document["metadata"]["name"].endswith(f"-{sobject.lower()}")
    )
    (trigger,) = spec["triggers"]
    metadata = trigger["metadata"]
    # What the scaler counts hangs on these two (see `depth`).
    assert (metadata["protocol"], metadata["mode"]) == ("http", "QueueLength")
    advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    behaviour = advanced.get("behavior", {})
    down = behaviour.get("scaleDown", {})
    return ScaledObject(
        min_count=spec["minReplicaCount"],
        max_count=spec["maxReplicaCount"],
        target_count=float(metadata["value"]),
        activation_count=float(metadata.get("activationValue", 0)),
        polling_s=spec["pollingInterval"],
        cooldown_s=spec["cooldownPeriod"],
        stabilisation_s=down.get("stabilizationWindowSeconds", STABILISATION_S),
        scale_up=_policies(behaviour.get("scaleUp", {})) or SCALE_UP,
        scale_down=_policies(down) or SCALE_DOWN,
    )


def from_values() -> ScaledObject:
    """Return what the chart's values come to."""
    document = yaml.safe_load((CHART / "values.yaml").read_text())
    values: dict[str, Any] = document["worker"]["autoscaling"]
    return ScaledObject(
        min_count=values["minReplicas"],
        max_count=values["maxReplicas"],
        target_count=values["targetBacklog"],
        activation_count=0,
        polling_s=values["pollingIntervalS"],
        cooldown_s=values["cooldownS"],
        stabilisation_s=values["cooldownS"],
    )


def _policies(rules: dict[str, Any]) -> tuple[Policy, ...]:
    return tuple(
        Policy(PolicyType(one["type"]), one["value"], one["periodSeconds"])
        for one in rules.get("policies", ())
    )
