from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from pipeline import metrics
from pipeline.database.access import FUNCTIONS, Role

DEPLOY = Path(__file__).parents[3] / "deploy"
# Of closed sets. An org's id is none: a thousand orgs would be a thousand series of each metric.
LABELS = {
    "over",
    "route",
    "status",
    "object",
    "outcome",
    "stage",
    "reason",
    "kind",
    "state",
    "table",
    "check",
    "trouble",
}

DEFINED = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
FAMILIES = [family for metric in DEFINED for family in metric.describe()]


def test_every_name_is_unique_and_ours() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names)) == len(DEFINED) > 0
    assert all(name.startswith("penstock_") for name in names)


def test_every_metric_says_what_it_means_in_a_sentence() -> None:
    for family in FAMILIES:
        assert family.documentation.endswith("."), family.name


def test_a_metric_with_a_unit_names_it() -> None:
    for family in FAMILIES:
        for unit in ("seconds", "bytes"):
            assert (f"in {unit}" in family.documentation) == family.name.endswith(unit), family.name


def test_what_is_scraped_parses_and_has_every_metric() -> None:
    scraped = generate_latest(REGISTRY).decode()
    names = {family.name for family in text_string_to_metric_families(scraped)}
    assert {family.name for family in FAMILIES} <= names


def test_labels_take_values_of_closed_sets() -> None:
    used = {label for metric in DEFINED for label in metric._labelnames}  # noqa: SLF001  the library shows them nowhere else
    assert used == LABELS


def test_what_documentation_and_dashboards_name_is_what_the_code_defines() -> None:
    exported = {sample for family in FAMILIES for sample in exported_by(family.name, family.type)}
    named = {
        name
        for path in DEPLOY.rglob("*")
        if path.suffix in {".md", ".json", ".yml", ".yaml"}
        for name in re.findall(r"\bpenstock_[a-z_]+\b", path.read_text("utf-8"))
    }
    functions = {name.partition("(")[0] for name in FUNCTIONS}
    assert named - exported - set(Role) - functions == set()
    reference = (DEPLOY / "reference.md").read_text("utf-8")
    for family in FAMILIES:
        suffix = "_total" if family.type == "counter" else ""
        assert f"| `{family.name}{suffix}` | {family.type} |" in reference, "run `make docs`"


def exported_by(name: str, kind: str) -> set[str]:
    """Return the names under which a metric is scraped."""
    match kind:
        case "counter":
            return {f"{name}_total"}
        case "histogram":
            return {name, f"{name}_bucket", f"{name}_count", f"{name}_sum"}
        case _:
            return {name}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (prometheus) is not here")
def test_promtool_finds_nothing_to_say_of_what_is_scraped() -> None:
    for metric in DEFINED:
        # A metric with labels is scraped once it has values.
        if names := metric._labelnames:  # noqa: SLF001  as above
            metric.labels(*names)
    ours = "".join(
        line
        for line in generate_latest(REGISTRY).decode().splitlines(keepends=True)
        if re.match(r"(# \w+ )?penstock_", line) and "_created" not in line
    )
    checked = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607  whichever is on the path
        input=ours,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
