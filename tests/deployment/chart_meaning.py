"""What the chart's documents mean, held against the code: settings, queues, drains, safety."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import topology
from pipeline.objects import SObject
from pipeline.settings import Secret, Settings, SettingsError, listing, load
from tests.deployment.charts import container, environment, pods, title
from tests.deployment.drain import CLOSING_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deployment.charts import Document

# Of a form that is taken, for what a Secret would hold.
_SECRET_VALUES: Final = {
    "PENSTOCK_BROKER__URL": "amqps://user:password@rabbit-0,rabbit-1/penstock",
    "PENSTOCK_BROKER__MANAGEMENT_URL": "https://user:password@rabbit:15671",
    "PENSTOCK_DATABASE__URL": "postgresql://user:password@db/penstock?sslmode=verify-full",
    "PENSTOCK_RELAY__WEBHOOK_SECRET": "whsec_c2VjcmV0",
    "PENSTOCK_RELAY__MIXMAX_TOKEN": "token",
    "PENSTOCK_CONSOLE__SESSION_KEY": "k" * 32,
    "PENSTOCK_SECRETS__KEYS": "a:" + "A" * 43 + "=",
}
# Who knows which, and nobody else: orgs' secrets are ingest's and people's to read.
_MAY_KNOW: Final = {
    "ingest": {"BROKER__URL", "DATABASE__URL", "SECRETS__KEYS"},
    "worker": {"BROKER__URL", "DATABASE__URL"},
    "relay": {"DATABASE__URL", "RELAY__WEBHOOK_SECRET", "RELAY__MIXMAX_TOKEN"},
    "console": {"BROKER__URL", "DATABASE__URL", "CONSOLE__SESSION_KEY"},
    "operator": {"BROKER__URL", "BROKER__MANAGEMENT_URL", "DATABASE__URL", "SECRETS__KEYS"},
    "migrate": {"DATABASE__URL"},
    "declare": {"BROKER__URL"},
}
# Files of a pod, which are not here; that they are mounted is looked at.
_FILES: Final = ("PENSTOCK_BROKER__CA_FILE", "PENSTOCK_DATABASE__CA_FILE")
_CONSOLE_DRAIN_S: Final = 5.0
_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")


def wrong_meanings(documents: tuple[Document, ...]) -> Iterator[str]:
    """Yield what in a rendering does not agree with the code, or is less safe than it may be."""
    for kept in documents:
        if kept["kind"] in {"Secret", "ConfigMap"}:
            yield f"{title(kept)}: nothing is to be kept in the chart's own"
    for name, template in pods(documents).items():
        found = [*_references(template), *_safety(template)]
        try:
            settings = settings_of(template)
        except SettingsError as error:
            found.append(str(error))
        else:
            found += [*_probes(template, settings), *_drain(template, settings)]
        yield from (f"{name}: {why}" for why in found)
    yield from _scaling(documents)


def settings_of(template: Document) -> Settings:
    """Return what a pod's processes would read.

    Raises:
        SettingsError: they would not start.
    """
    variables = environment(template)
    return load(
        {
            name: _SECRET_VALUES[name] if value is None else value
            for name, value in variables.items()
            if name not in _FILES
        }
    )


def _references(template: Document) -> Iterator[str]:
    variables = environment(template)
    secret = set(listing_of_secrets())
    for name, value in variables.items():
        if (name in secret) is (value is not None):
            yield f"{name} is {'a' if value is None else 'no'} reference to a Secret"
    role = template["metadata"]["labels"]["app.kubernetes.io/component"]
    known = {one.removeprefix("PENSTOCK_") for one in secret & variables.keys()}
    if extra := known - _MAY_KNOW[role]:
        yield f"it has no business with {', '.join(sorted(extra))}"
    for name in set(_FILES) & variables.keys():
        folder = (variables[name] or "").rpartition("/")[0]
        if folder not in [one["mountPath"] for one in container(template)["volumeMounts"]]:
            yield f"{name} is in no volume"


def listing_of_secrets() -> Iterator[str]:
    """Yield the variables of settings that are secret."""
    defaults = Settings()
    for setting in listing():
        section, _, name = setting.variable.removeprefix("PENSTOCK_").lower().partition("__")
        if isinstance(getattr(getattr(defaults, section), name), Secret):
            yield setting.variable


def _safety(template: Document) -> Iterator[str]:
    spec, only = template["spec"], container(template)
    wanted = {
        "a token is mounted": spec.get("automountServiceAccountToken") is False,
        "Services become variables": spec.get("enableServiceLinks") is False,
        "it may run as root": spec["securityContext"].get("runAsNonRoot") is True,
        "system calls are not filtered": spec["securityContext"].get("seccompProfile")
        == {"type": "RuntimeDefault"},
        "it may gain privileges, or write": only["securityContext"]
        == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "it shares something with its node": not any(
            spec.get(one) for one in ("hostNetwork", "hostPID", "hostIPC")
        ),
        "memory is not bounded": "memory" in only["resources"].get("limits", {}),
        "CPU is not asked for": "cpu" in only["resources"].get("requests", {}),
    }
    yield from (why for why, holds in wanted.items() if not holds)


def _probes(template: Document, settings: Settings) -> Iterator[str]:
    only = container(template)
    ports = {one["name"]: one["containerPort"] for one in only.get("ports", ())}
    if not ports:
        # A command that ends by itself, or that waits for people.
        return
    role = only["args"][0]
    section = getattr(settings, role)
    served = (
        {"admin": section.admin_port}
        | ({"callouts": section.port} if role == "ingest" else {})
        | ({"pages": section.port} if role == "console" else {})
    )
    if ports != served:
        yield f"its ports are {served}, not {ports}"
    if section.admin_host not in {"0.0.0.0", "::"}:  # noqa: S104  a pod's own
        yield "nobody reaches its admin port"
    for probe in _PROBES:
        path = "/readyz" if probe == "readinessProbe" else "/healthz"
        if only[probe]["httpGet"] != {"path": path, "port": "admin"}:
            yield f"{probe} asks {only[probe]['httpGet']}"


def _drain(template: Document, settings: Settings) -> Iterator[str]:
    only = container(template)
    role = only.get("args", [""])[0]
    match role:
        case "ingest":
            drain_s = settings.ingest.drain_s
        case "worker":
            drain_s = settings.worker.drain_s
        case "relay":
            drain_s = settings.relay.timeout_s
        case "console":
            drain_s = _CONSOLE_DRAIN_S
        case _:
            return
    pre_stop = only.get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
    pre_stop_s = pre_stop["sleep"]["seconds"]
    if (role in {"ingest", "console"}) is not (pre_stop_s > 0):
        yield "who has a Service, and nobody else, waits until it leads elsewhere"
    least_s = pre_stop_s + drain_s + CLOSING_S
    grace_s = template["spec"]["terminationGracePeriodSeconds"]
    if grace_s < least_s:
        yield f"it is killed after {grace_s} s, and may take {least_s} s to drain"


def _scaling(documents: tuple[Document, ...]) -> Iterator[str]:
    named = {title(document): document for document in documents}
    scaled = [one for one in documents if one["kind"] == "ScaledObject"]
    scalers = scaled + [one for one in documents if one["kind"] == "HorizontalPodAutoscaler"]
    targets = {f"Deployment {one['spec']['scaleTargetRef']['name']}" for one in scalers}
    for name, document in named.items():
        if document["kind"] == "Deployment" and ("replicas" in document["spec"]) is (
            name in targets
        ):
            yield f"{name}: how many there are is said by none, or by two"
    yield from (f"{target} is scaled, and is not there" for target in targets - named.keys())
    for one in scaled:
        (trigger,) = one["spec"]["triggers"]
        target = named[f"Deployment {one['spec']['scaleTargetRef']['name']}"]
        *_, given = container(target["spec"]["template"])["args"]
        queues = [topology.queue_name(sobject) for sobject in SObject if sobject.lower() == given]
        if [trigger["metadata"]["queueName"]] != queues:
            yield f"{title(one)}: looks at {trigger['metadata']['queueName']}, not {queues}"
        if f"TriggerAuthentication {trigger['authenticationRef']['name']}" not in named:
            yield f"{title(one)}: no such TriggerAuthentication"
