"""Small charts of the last hour, as SVG images drawn by pygal."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.flow import Minute, ObjectFlow

_WIDTH: Final = 320
_HEIGHT: Final = 56
# Seen as well on a light ground as on a dark one.
_TEAL: Final = "#14948a"
_BLUE: Final = "#5b8fc7"
_RED: Final = "#d9534a"


class Chart(StrEnum):
    """What is drawn of an object."""

    CHANGES = "changes"
    LATENCY = "latency"
    FAILURES = "failures"


def draw(chart: Chart, flow: ObjectFlow) -> bytes:
    """Return a chart of an object's last hour, a point for each minute."""
    lines: dict[str, Sequence[float | None]]
    colours: tuple[str, ...]
    match chart:
        case Chart.CHANGES:
            lines = {
                "committed": [one.committed_count for one in flow.minutes],
                "accepted": [one.accepted_count for one in flow.minutes],
            }
            colours = (_TEAL, _BLUE)
        case Chart.LATENCY:
            lines = {
                "p50": [one.latency.p50_ms for one in flow.minutes],
                "p99": [one.latency.p99_ms for one in flow.minutes],
            }
            colours = (_TEAL, _BLUE)
        case Chart.FAILURES:
            lines = {"failures": [failures(one) for one in flow.minutes]}
            colours = (_RED,)
        case unknown:
            assert_never(unknown)
    # What is filled ends where a minute has no value.
    return _line(lines, colours, filled=chart is not Chart.LATENCY)


def failures(minute: Minute) -> int:
    """Return what failed in a minute: dead letters, and what targets refused."""
    return minute.dead_count + minute.failed_count


def _line(
    lines: dict[str, Sequence[float | None]], colours: tuple[str, ...], *, filled: bool
) -> bytes:
    style = Style(
        background="transparent",
        plot_background="transparent",
        colors=colours,
        opacity=".16",
        stroke_opacity="1",
        transition="0s",
    )
    chart = pygal.Line(
        width=_WIDTH,
        height=_HEIGHT,
        style=style,
        js=[],
        margin=2,
        show_legend=False,
        show_x_labels=False,
        show_y_labels=False,
        show_y_guides=False,
        show_dots=False,
        fill=filled,
        stroke_style={"width": 1.5},
        allow_interruptions=True,
        range=(
            0,
            max((value or 0 for values in lines.values() for value in values), default=0) or 1,
        ),
        no_data_text="",
        disable_xml_declaration=True,
        explicit_size=True,
    )
    for name, values in lines.items():
        chart.add(name, values)
    # It is as wide as there is room for, and no higher.
    root: ET.Element = chart.render_tree()
    root.set("preserveAspectRatio", "none")
    return ET.tostring(root)
