"""deploy/helm: the chart and the examples beside it. What needs helm is skipped without it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import yaml

from pipeline.settings import Settings
from tests.deployment.chart_examples import wrong_connection_counts, wrong_examples
from tests.deployment.chart_meaning import listing_of_secrets, wrong_meanings
from tests.deployment.chart_reach import wrong_reach
from tests.deployment.charts import (
    CHART,
    PRODUCTION,
    REFUSED,
    RENDERINGS,
    environment,
    examples,
    pods,
    rendered,
    run,
)
from tests.deployment.check import Check
from tests.deployment.resource_schemas import wrong_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.deployment.charts import Document

_SMALL: Final = {
    "PENSTOCK_BROKER__URL": 5672,
    "PENSTOCK_BROKER__MANAGEMENT_URL": 15672,
    "PENSTOCK_DATABASE__URL": 5432,
}
_TLS: Final = {
    **_SMALL,
    "PENSTOCK_BROKER__URL": 5671,
    "PENSTOCK_BROKER__MANAGEMENT_URL": 15671,
}
_BOUNDED: Final = frozenset({"values-production.yaml", "every option"})


def _lint() -> list[str]:
    problems = []
    for arguments in RENDERINGS.values():
        done = run("lint", "--strict", str(CHART), *arguments)
        if done.returncode:
            problems += [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return problems


def _refusals() -> list[str]:
    problems = []
    for argument, word in REFUSED.items():
        done = run("template", "penstock", str(CHART), argument)
        if done.returncode == 0 or word not in done.stderr:
            problems.append(f"{argument} is taken, or refused without saying why")
    return problems


def _of_each(look: Callable[[str, tuple[Document, ...]], Iterable[str]]) -> list[str]:
    problems = []
    for name in RENDERINGS:
        try:
            problems += [f"{name}: {why}" for why in look(name, rendered(name))]
        except subprocess.CalledProcessError as error:
            problems.append(f"{name}: {error.stderr.strip()}")
    return problems


def _forms() -> list[str]:
    return _of_each(lambda _, documents: wrong_forms(documents))


def _meanings() -> list[str]:
    return _of_each(lambda _, documents: wrong_meanings(documents))


def _reach() -> list[str]:
    def look(name: str, documents: tuple[Document, ...]) -> Iterable[str]:
        ports = _TLS if name in _BOUNDED else _SMALL
        return wrong_reach(documents, ports, is_bounded=name in _BOUNDED)

    off = "everything off"
    return [why for why in _of_each(look) if not why.startswith(off)]


def _settings_of_nobody() -> list[str]:
    """See that nobody sets over what the chart sets: the schema refuses just those variables."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    refused = set(schema["definitions"]["settings"]["propertyNames"]["not"]["enum"])
    set_by_chart = {
        variable
        for name in RENDERINGS
        for template in pods(rendered(name)).values()
        for variable in environment(template)
    }
    free = {"PENSTOCK_LOG__LEVEL", "PENSTOCK_INGEST__MAX_IN_FLIGHT_BYTES"}
    return [f"{one} may be set twice" for one in sorted(set_by_chart - refused - free)]


def _values() -> list[str]:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    production = yaml.safe_load(PRODUCTION.read_text("utf-8"))
    problems = [
        f"{error.json_path}: {error.message}"
        for document in (values, production)
        for error in jsonschema.Draft7Validator(schema).iter_errors(document)
    ]
    refused = set(schema["definitions"]["settings"]["propertyNames"]["not"]["enum"])
    problems += [
        f"{one} is secret, and may be a value" for one in listing_of_secrets() if one not in refused
    ]
    defaults = Settings()
    drains: dict[str, tuple[Any, float]] = {
        "ingest.drainS": (values["ingest"]["drainS"], defaults.ingest.drain_s),
        "worker.drainS": (values["worker"]["drainS"], defaults.worker.drain_s),
        "relay.timeoutS": (values["relay"]["timeoutS"], defaults.relay.timeout_s),
        "relay.requestsPerS": (values["relay"]["requestsPerS"], defaults.relay.requests_per_s),
    }
    return problems + [
        f"{name} is {told}, and {wanted} by default"
        for name, (told, wanted) in drains.items()
        if told != wanted
    ]


def _examples() -> list[str]:
    return [*wrong_forms(examples()), *wrong_examples()]


CHECKS: Final = (
    Check("helm: values, by their schema and the settings' defaults", (), _values),
    Check("helm: examples, by the operators' schemas, roles and permissions", (), _examples),
    Check("helm: lint", ("helm",), _lint),
    Check("helm: mistakes are refused", ("helm",), _refusals),
    Check("helm: what is rendered, by Kubernetes' and operators' schemas", ("helm",), _forms),
    Check("helm: settings, queues, drains, safety", ("helm",), _meanings),
    Check("helm: who reaches whom", ("helm",), _reach),
    Check("helm: one place for each setting", ("helm",), _settings_of_nobody),
    Check("helm: connections to PostgreSQL", ("helm",), lambda: [*wrong_connection_counts()]),
)
