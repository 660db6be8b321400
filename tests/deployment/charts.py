"""The chart as helm renders it, in the ways that people will."""

from __future__ import annotations

import functools
import subprocess
from typing import Any, Final, TypeAlias

import yaml

from pipeline.objects import SObject
from tests.deployment.check import DEPLOY, TIMEOUT_S, found

Document: TypeAlias = dict[str, Any]

HELM: Final = DEPLOY / "helm"
CHART: Final = HELM / "penstock"
PRODUCTION: Final = CHART / "values-production.yaml"
NAMESPACE: Final = "penstock"
_OFF: Final = (
    "ingest.autoscaling.enabled",
    "console.enabled",
    "migrate.enabled",
    "declare.enabled",
    "operator.enabled",
    "networkPolicy.enabled",
)
_RULES: Final = "groups: [{name: penstock, rules: [{record: one, expr: vector(1)}]}]"

# What each is for, and helm's arguments.
RENDERINGS: Final[dict[str, tuple[str, ...]]] = {
    "values.yaml": (),
    "values-production.yaml": ("--values", str(PRODUCTION)),
    "everything off": tuple(f"--set={name}=false" for name in _OFF),
    "one object alone": tuple(
        f"--set=worker.objects.{one.lower()}.enabled=false"
        for one in SObject
        if one is not SObject.LEAD
    ),
    "an object of its own kind": (
        "--set=keda.enabled=true",
        "--set=relay.webhookUrl=https://sequences.example.com/hooks",
        "--set=worker.objects.lead.autoscaling.maxReplicas=9",
        "--set=worker.objects.lead.resources.limits.memory=1Gi",
        "--set=worker.objects.user.autoscaling.minReplicas=0",
    ),
    "every option": (
        "--values",
        str(PRODUCTION),
        "--set=secretKeys.mixmaxToken=mixmax-token,image.digest=sha256:" + "a" * 64,
        "--set=settings.PENSTOCK_LOG__LEVEL=debug",
        "--set=ingest.settings.PENSTOCK_INGEST__MAX_IN_FLIGHT_BYTES=201326592",
        "--set=relay.allowNetworks={10.0.0.0/8}",
        "--set=broker.ca.secret=,broker.ca.configMap=ca,imagePullSecrets[0].name=registry",
        "--set=priorityClassName=high,nodeSelector.disk=ssd,podAnnotations.a=b,podLabels.c=d",
        '--set-json=extraVolumes=[{"name":"certificate","secret":{"secretName":"own"}}]',
        '--set-json=extraVolumeMounts=[{"name":"certificate","mountPath":"/certificate"}]',
        f"--set-literal=monitoring.rules.penstock={_RULES}",
    ),
    "another release": ("--set=listenAddress=::",),
}
# What has to be refused, and how helm says so.
REFUSED: Final[dict[str, str]] = {
    "--set=workers.drainS=1": "workers",
    "--set=worker.objects.leads.enabled=true": "leads",
    "--set=settings.PENSTOCK_RELAY__MIXMAX_TOKEN=x": "PENSTOCK_RELAY__MIXMAX_TOKEN",
    "--set=ingest.settings.PENSTOCK_INGEST__DRAIN_S=1": "PENSTOCK_INGEST__DRAIN_S",
    "--set=ingest.publicUrl=http://example.com": "publicUrl",
    "--set=ingest.ingress.enabled=true": "needs a host",
}


@functools.cache
def rendered(name: str) -> tuple[Document, ...]:
    """Return the documents of a rendering.

    Raises:
        subprocess.CalledProcessError: helm refuses; `stderr` says why.
    """
    release = "blue" if name == "another release" else "penstock"
    done = run("template", release, str(CHART), f"--namespace={NAMESPACE}", *RENDERINGS[name])
    done.check_returncode()
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    return subprocess.run(  # noqa: S603  our own arguments
        [found("helm") or "helm", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def examples() -> list[Document]:
    """Return what the examples beside the chart hold."""
    return [
        document
        for path in sorted((HELM / "examples").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def pods(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Return the template of every pod, by its owner: `Deployment penstock-ingest`."""
    found_pods = {}
    for document in documents:
        match document["kind"]:
            case "Deployment" | "Job":
                template = document["spec"]["template"]
            case "CronJob":
                template = document["spec"]["jobTemplate"]["spec"]["template"]
            case _:
                continue
        found_pods[title(document)] = template
    return found_pods


def title(document: Document) -> str:
    """Return what to call a document by."""
    return f"{document['kind']} {document['metadata']['name']}"


def container(template: Document) -> Document:
    """Return the one container of a pod."""
    (only,) = template["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def environment(template: Document) -> dict[str, str | None]:
    """Return the variables of a pod; None where a Secret has the value."""
    return {one["name"]: one.get("value") for one in container(template)["env"]}
