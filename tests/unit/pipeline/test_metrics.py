from __future__ import annotations

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from pipeline import metrics

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
