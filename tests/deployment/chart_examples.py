"""The examples beside the chart, held against the code and against values-production.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from ops.broker_definitions import MONITOR, NOTHING, USERS, VHOST, Permissions
from pipeline.database.access import Role
from pipeline.settings import Settings
from tests.deployment.charts import CHART, PRODUCTION, container, examples, rendered, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deployment.charts import Document

# Beside its pool: who listens for what changes. People's commands, and CloudNativePG's own.
_LISTENS: Final = frozenset({"ingest", "relay"})
_OTHERS_COUNT: Final = 30
# Who asks the management API how much waits.
_KEDA: Final = "keda"


def wrong_examples() -> Iterator[str]:
    """Yield what in the examples is not as the code or the page about users says."""
    found = {title(document): document for document in examples()}
    # Of the others, and of policies, a unit test says it (`ops.broker_definitions`).
    permissions = {
        one["spec"]["userReference"]["name"]: Permissions(**one["spec"]["permissions"])
        for one in found.values()
        if one["kind"] == "Permission"
    }
    for name in (MONITOR, _KEDA):
        if permissions[name] != Permissions(NOTHING, NOTHING, NOTHING):
            yield f"{name} may do more at RabbitMQ than look"
    users = {one["metadata"]["name"] for one in found.values() if one["kind"] == "User"}
    if not users == permissions.keys() == {*USERS, MONITOR, _KEDA}:
        yield f"users at RabbitMQ are {sorted(users)}, with permissions {sorted(permissions)}"
    if f"Vhost {VHOST}" not in found:
        yield "the virtual host has another name than in the code"
    cluster = found["Cluster penstock-db"]["spec"]
    created = {one.split()[2] for one in cluster["bootstrap"]["initdb"]["postInitSQL"]}
    if created != set(Role):
        yield f"roles at PostgreSQL are {sorted(created)}"
    members = {one["name"]: one["inRoles"][0] for one in cluster["managed"]["roles"]}
    if members != {role.removeprefix("penstock_"): role for role in Role}:
        yield f"users at PostgreSQL are in {members}"
    yield from _names(found)


def wrong_connection_counts() -> Iterator[str]:
    """Yield it, if all that values-production.yaml may run connects more often than may be."""
    (cluster,) = (one for one in examples() if one["kind"] == "Cluster")
    limit = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    count = _OTHERS_COUNT + sum(_connection_counts(rendered("values-production.yaml")))
    if count > limit:
        yield f"max_connections is {limit}, and {count} may come"


def _connection_counts(documents: tuple[Document, ...]) -> Iterator[int]:
    most = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"].get("maxReplicas")
        or one["spec"]["maxReplicaCount"]
        for one in documents
        if one["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
    }
    for document in documents:
        if document["kind"] != "Deployment" or "args" not in container(
            document["spec"]["template"]
        ):
            continue
        count = most.get(document["metadata"]["name"]) or document["spec"]["replicas"]
        surge = document["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        if isinstance(surge, str):
            surge = -(-count * int(surge.rstrip("%")) // 100)
        role = container(document["spec"]["template"])["args"][0]
        yield (count + surge) * (Settings().database.pool_size + (role in _LISTENS))


def _names(found: dict[str, Document]) -> Iterator[str]:
    """Yield where values-production.yaml calls something otherwise than the examples do."""
    values: dict[str, Any] = yaml.safe_load(PRODUCTION.read_text("utf-8"))
    defaults: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    tls = found["RabbitmqCluster penstock-rabbit"]["spec"]["tls"]
    policy = values["networkPolicy"]
    for wanted, told in (
        (values["broker"]["ca"]["secret"], tls["caSecretName"]),
        (values["database"]["ca"]["secret"], "penstock-db-ca"),
        (defaults["broker"]["ca"]["key"], "ca.crt"),
        (
            policy["broker"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"],
            "penstock-rabbit",
        ),
        (policy["database"][0]["podSelector"]["matchLabels"]["cnpg.io/cluster"], "penstock-db"),
    ):
        if wanted != told:
            yield f"values-production.yaml says {wanted}, the examples {told}"
