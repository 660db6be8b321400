"""Grafana's dashboards as JSON: rows of panels, each with its unit and a sentence that explains it.

Source: Grafana documentation, "Dashboard JSON model", "Variables", "Standard options: unit".
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Of Grafana 10, which later ones read.
_SCHEMA_VERSION: Final = 39
_WIDTH: Final = 24
_STAT_HEIGHT: Final = 4
_GRAPH_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Unit(StrEnum):
    """What the numbers of a panel are, by Grafana's names."""

    COUNT = "short"
    CALLOUTS_PER_S = "reqps"
    PER_S = "cps"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"


class Kind(StrEnum):
    """How a panel shows its numbers."""

    GRAPH = "timeseries"
    NUMBER = "stat"


class Line(NamedTuple):
    """An expression, and what its series are called: `{{label}}` is the label's value."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One picture. Past `warn` a number is orange, past `alarm` red."""

    title: str
    description: str
    unit: Unit
    lines: Sequence[Line]
    kind: Kind = Kind.GRAPH
    warn: float | None = None
    alarm: float | None = None
    is_stacked: bool = False


class Row(NamedTuple):
    """A heading and what stands under it, side by side: as many numbers as fit, three graphs."""

    title: str
    panels: Sequence[Panel]


class Choice(NamedTuple):
    """A list above the dashboard, of a label's values."""

    name: str
    title: str
    query: str


class Dashboard(NamedTuple):
    """One page of Grafana."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    choices: Sequence[Choice] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what Grafana reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["penstock"],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [
                {
                    "type": "dashboards",
                    "title": "Penstock",
                    "tags": ["penstock"],
                    "asDropdown": True,
                    "keepTime": True,
                    "includeVars": False,
                }
            ],
            "templating": {"list": [_DATASOURCE, *map(_choice, self.choices)]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        top = number = 0
        for row in self.rows:
            number += 1
            place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
            yield {
                "id": number,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
            top, left, height = top + 1, 0, 0
            for panel in row.panels:
                is_number = panel.kind is Kind.NUMBER
                width = _WIDTH // (6 if is_number else 3)
                if left + width > _WIDTH:
                    top, left = top + height, 0
                height = _STAT_HEIGHT if is_number else _GRAPH_HEIGHT
                number += 1
                place = {"x": left, "y": top, "w": width, "h": height}
                yield _panel(panel, number, place)
                left += width
            top += height


_DATASOURCE: Final = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
}


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "name": choice.name,
        "label": choice.title,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": choice.query, "refId": choice.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if panel.kind is Kind.GRAPH:
        custom = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
        if panel.is_stacked:
            custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
        options = {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    steps: list[dict[str, str | float | None]] = [{"color": "green", "value": None}]
    steps += [{"color": "orange", "value": panel.warn}] if panel.warn is not None else []
    steps += [{"color": "red", "value": panel.alarm}] if panel.alarm is not None else []
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.value,
                "min": 0,
                "custom": custom,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": line.expr,
                "legendFormat": line.legend,
            }
            for index, line in enumerate(panel.lines)
        ],
    }
