"""Prometheus reads its configuration, its rules and every panel's expression; every alert is tried.

What files and code have to say alike, `tests/unit/ops/test_monitoring.py` sees.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from ops.monitoring.alerts import GROUPS
from tests.deployment.check import DEPLOY, Check, said

_MONITORING: Final = DEPLOY / "monitoring"
_TRIALS: Final = Path(__file__).with_name("alerts.test.yml")
# What Grafana puts in their place.
_VARIABLES: Final = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}


def _configuration() -> list[str]:
    return said("promtool", "check", "config", str(_MONITORING / "prometheus.yml"))


def _trials() -> list[str]:
    return [*said("promtool", "test", "rules", str(_TRIALS)), *_untried()]


def _untried() -> list[str]:
    """Return the alerts that are not seen both to fire and to be quiet."""
    seen = set()
    for trial in yaml.safe_load(_TRIALS.read_text("utf-8"))["tests"]:
        for asked in trial.get("promql_expr_test", ()):
            name = asked["expr"].partition('alertname="')[2].partition('"')[0]
            seen.add((name, bool(asked["exp_samples"])))
    names = [alert.name for group in GROUPS for alert in group.alerts]
    return [
        f"{name} is never seen {'to fire' if fires else 'to be quiet'}"
        for name in names
        for fires in (True, False)
        if (name, fires) not in seen
    ]


def _panels() -> list[str]:
    """Have promtool read every panel's expressions, as rules of a file of their own."""
    rules = [
        {"record": f"panel:{number}", "expr": filled(target["expr"]), "labels": {"panel": where}}
        for number, (where, target) in enumerate(_targets())
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
        file.flush()
        return said("promtool", "check", "rules", file.name)


def _targets() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.stem}: {panel['title']}", target)
        for path in sorted((_MONITORING / "grafana").glob("*.json"))
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]


def filled(expr: str) -> str:
    """Return an expression with its variables filled in."""
    for variable, value in _VARIABLES.items():
        expr = expr.replace(variable, value)
    return expr


CHECKS: Final = (
    Check("prometheus.yml and its rules", ("promtool",), _configuration),
    Check("every alert fires, and is quiet", ("promtool",), _trials),
    Check("every expression of Grafana's panels", ("promtool",), _panels),
)
