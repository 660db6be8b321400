"""Whom the chart's pods reach and who reaches them, by its NetworkPolicies and Services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.deployment.charts import container, environment, pods, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deployment.charts import Document

_DNS: Final = 53
_HTTPS: Final = 443
_HOOK: Final = "helm.sh/hook"


def wrong_reach(
    documents: tuple[Document, ...], ports: dict[str, int], *, is_bounded: bool
) -> Iterator[str]:
    """Yield who reaches less, or more, than its settings say it talks to.

    `ports` are those of the servers, by variable; `is_bounded`: every rule has to name its peers.
    """
    policies = [
        one
        for one in documents
        if one["kind"] == "NetworkPolicy" and _HOOK not in one["metadata"].get("annotations", {})
    ]
    for name, template in pods(documents).items():
        labels = template["metadata"]["labels"]
        own = [one["spec"] for one in policies if _selects(one["spec"]["podSelector"], labels)]
        if not any(one["policyTypes"] == ["Ingress", "Egress"] for one in own):
            yield f"{name}: nothing is denied"
        out = [rule for one in own for rule in one.get("egress", ())]
        needed = {_DNS, *(ports[one] for one in environment(template) if one in ports)}
        if container(template).get("args", [""])[0] == "relay":
            needed.add(_HTTPS)
        if _ports(out) != needed:
            yield f"{name}: reaches {sorted(_ports(out))}, needs {sorted(needed)}"
        into = [rule for one in own for rule in one.get("ingress", ())]
        served = {one["name"] for one in container(template).get("ports", ())}
        if _ports(into) != served:
            yield f"{name}: is reached on {_ports(into)}, serves {served}"
        open_rules = [rule for rule in out + into if not rule.get("to") and not rule.get("from")]
        if is_bounded and open_rules:
            yield f"{name}: anybody may, by {open_rules}"
    yield from _services(documents)
    yield from _own_pods(documents)


def _own_pods(documents: tuple[Document, ...]) -> Iterator[str]:
    """Yield Deployments that do not select their own pods, and those alone."""
    templates = pods(documents)
    for document in documents:
        if document["kind"] == "Deployment":
            selector = document["spec"]["selector"]
            found = [
                name
                for name, template in templates.items()
                if _selects(selector, template["metadata"]["labels"])
            ]
            if found != [title(document)]:
                yield f"{title(document)}: selects the pods of {found}"


def _services(documents: tuple[Document, ...]) -> Iterator[str]:
    """Yield Services, Ingresses and budgets that lead to no pod."""
    templates = list(pods(documents).values())

    def selected(selector: Document) -> list[Document]:
        return [one for one in templates if _selects(selector, one["metadata"]["labels"])]

    services = {one["metadata"]["name"] for one in documents if one["kind"] == "Service"}
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            found = selected({"matchLabels": spec["selector"]})
            named = {port["name"] for one in found for port in container(one).get("ports", ())}
            if not {port["targetPort"] for port in spec["ports"]} <= named:
                yield f"{title(document)}: leads to no port"
        elif document["kind"] == "PodDisruptionBudget":
            if not selected(spec["selector"]):
                yield f"{title(document)}: keeps no pod"
        elif document["kind"] == "Ingress":
            (rule,) = spec["rules"]
            (path,) = rule["http"]["paths"]
            if path["backend"]["service"]["name"] not in services:
                yield f"{title(document)}: leads to no Service"


def _selects(selector: Document, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    assert selector.keys() <= {"matchLabels"}, "no other kind is judged here"
    return all(labels.get(name) == value for name, value in wanted.items())


def _ports(rules: list[Document]) -> set[int | str]:
    return {port["port"] for rule in rules for port in rule["ports"]}
