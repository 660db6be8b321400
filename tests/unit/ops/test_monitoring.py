"""Alerts and dashboards say what the code defines, completely, and with the right functions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from prometheus_client.metrics import MetricWrapperBase

from ops.monitoring.alerts import GROUPS, Severity
from ops.monitoring.files import DASHBOARDS, FOLDER, files
from ops.monitoring.promql import TARGET_LABELS, quantile, rate
from ops.monitoring.rabbitmq import FOREIGN
from pipeline import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINED: Final = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
SUFFIXES: Final = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
# Each name that is scraped: what it belongs to, its kind, its labels.
SCRAPED: Final = {
    family.name + suffix: (
        family.name,
        family.type,
        {*metric._labelnames, *TARGET_LABELS, *(["le"] if suffix == "_bucket" else [])},  # noqa: SLF001  the library shows them nowhere else
    )
    for metric in DEFINED
    for family in metric.describe()
    for suffix in SUFFIXES[family.type]
}
NAME: Final = re.compile(r"\b(?:penstock|rabbitmq|process)_[a-z_]+\b|\bup\b")
SELECTED: Final = re.compile(r"(\w+)\{([^}]*)\}")
GROUPED: Final = re.compile(r"by \(([^)]*)\) \(\w*\(?(\w+)")
ALERTS: Final = [alert for group in GROUPS for alert in group.alerts]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for dashboard in DASHBOARDS:
        for panel in dashboard.as_json()["panels"]:
            if panel["type"] != "row":
                yield f"{dashboard.uid}: {panel['title']}", panel


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((alert.name, alert.expr) for alert in ALERTS)
    for name, panel in panels():
        yield from ((name, target["expr"]) for target in panel["targets"])


def named(expr: str) -> set[str]:
    """Return the metrics of an expression; what is in quotes are labels' values."""
    return set(NAME.findall(re.sub(r'"[^"]*"', "", expr)))


def test_the_files_say_what_the_code_says() -> None:
    wanted = files()
    there = {*FOLDER.glob("grafana/*.json"), *FOLDER.glob("rules/*")}
    assert there == set(wanted), "run `make docs`"
    for path, text in wanted.items():
        assert path.read_text("utf-8") == text, "run `make docs`"


def test_every_metric_that_is_asked_for_exists_with_the_labels_that_are_used() -> None:
    for where, expr in expressions():
        assert named(expr) <= {*SCRAPED, *FOREIGN}, where
        for name, matchers in SELECTED.findall(expr):
            used = {
                part.split("=")[0].strip() for part in re.sub(r'"[^"]*"', "", matchers).split(",")
            }
            assert name in FOREIGN or used <= SCRAPED[name][2], where
        for labels, name in GROUPED.findall(expr):
            used = {label.strip() for label in labels.split(",")}
            assert name not in SCRAPED or used <= SCRAPED[name][2], where


def test_rates_are_of_what_only_grows_and_quantiles_of_buckets() -> None:
    for where, expr in expressions():
        for function, name in re.findall(r"\b(rate|increase)\((\w+)", expr):
            assert name.endswith(("_total", "_bucket", "_count", "_sum")), (where, function)
        for name in named(expr) & set(SCRAPED):
            if SCRAPED[name][1] == "counter":
                assert re.search(rf"(?:rate|increase)\({name}\b", expr), where
            if name.endswith("_bucket"):
                assert re.search(r"histogram_quantile\([0-9.]+, sum by \(le\b", expr), where


def test_every_metric_is_on_a_dashboard() -> None:
    shown = {
        SCRAPED[name][0]
        for _, panel in panels()
        for target in panel["targets"]
        for name in named(target["expr"]) & set(SCRAPED)
    }
    assert shown == {name for name, _, _ in SCRAPED.values()}


def test_a_label_that_a_metric_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="penstock_callouts has no label object"):
        rate(metrics.callouts, ["object"])
    with pytest.raises(ValueError, match="has no label outcome"):
        quantile(0.5, metrics.batch_seconds, outcome="dead")


def test_every_panel_says_what_it_shows_in_what_unit_and_from_where() -> None:
    for where, panel in panels():
        assert panel["description"].endswith("."), where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["targets"], where
        for one in (panel, *panel["targets"]):
            assert one["datasource"]["uid"] == "${datasource}", where
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                by = re.search(r"\bby \(([^)]*)\)", target["expr"])
                assert by is None or label in by[1].split(", "), where


def test_panels_have_numbers_and_places_of_their_own() -> None:
    for dashboard in DASHBOARDS:
        page = dashboard.as_json()
        taken: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert not taken & cells, (dashboard.uid, panel["title"])
            taken |= cells
        numbers = [panel["id"] for panel in page["panels"]]
        assert len(numbers) == len(set(numbers))
        assert page["templating"]["list"][0]["name"] == "datasource"
        assert json.loads(json.dumps(page)) == page
    assert len({dashboard.uid for dashboard in DASHBOARDS}) == len(DASHBOARDS)


def test_every_alert_says_whom_it_reaches_and_what_is_the_case() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert.severity in Severity
        assert alert.description.endswith("."), alert.name
        assert not alert.summary.endswith("."), alert.name
        used = re.findall(r"\$labels\.(\w+)", alert.summary + alert.description)
        assert all(label in alert.expr or label in TARGET_LABELS for label in used), alert.name
