"""Charts are images that load nothing from anywhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from ops.console.charts import Chart, draw, failures
from ops.flow import Latency, Minute, ObjectFlow, Outbox

FLOW = ObjectFlow(
    object="Lead",
    accepted_per_s=1.0,
    depth_count=0,
    in_hand_count=0,
    oldest_s=None,
    consumer_count=1,
    worker_count=1,
    committed_per_s=1.0,
    latency=Latency(),
    dead_count=0,
    dead_queue_count=0,
    fired_per_s=0.0,
    outbox=Outbox(),
    sent_per_s=0.0,
    send_latency=Latency(),
    failed_count=0,
    held_count=0,
    changes_per_message=None,
    worker_changes_per_s=None,
    minutes=[
        Minute("2026-05-01T12:00:00.000Z"),
        Minute("2026-05-01T12:01:00.000Z", 5, 4, 1, 0, 0, 2, Latency(4.0, 90.0)),
    ],
)


@pytest.mark.parametrize("chart", Chart)
def test_a_chart_is_an_image_that_refers_to_nothing_elsewhere(chart: Chart) -> None:
    svg = draw(chart, FLOW)
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own
    referred = re.findall(rb'(?:href|src)="([^"]*)"|url\(([^)]*)\)|@import', svg)
    assert [one for pair in referred for one in pair if one and not one.startswith(b"#")] == []


def test_an_hour_without_anything_is_drawn_too() -> None:
    for chart in Chart:
        assert draw(chart, FLOW)


def test_failures_are_dead_letters_and_what_targets_refused() -> None:
    assert [failures(one) for one in FLOW.minutes] == [0, 3]
