"""Write the rules and the dashboards: `python -m ops.monitoring.files`, which `make docs` runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from ops.monitoring.alerts import rules
from ops.monitoring.overview import OVERVIEW
from ops.monitoring.processes import PROCESSES
from ops.monitoring.rabbitmq import RABBITMQ
from ops.monitoring.salesforce import SALESFORCE

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
DASHBOARDS: Final = (OVERVIEW, PROCESSES, SALESFORCE, RABBITMQ)
_HEAD: Final = """\
# Written by `make docs` from ops/monitoring/alerts.py: change it there.
# Severity `critical` wakes somebody, `warning` waits for the morning. Each names its runbook.
"""


def files() -> dict[Path, str]:
    """Return every file that is written, by its path."""
    text = yaml.safe_dump(rules(), sort_keys=False, width=1000, allow_unicode=True)
    return {
        FOLDER / "rules" / "penstock.yml": _HEAD + text,
        **{
            FOLDER / "grafana" / f"{one.uid}.json": json.dumps(one.as_json(), indent=1) + "\n"
            for one in DASHBOARDS
        },
    }


def main() -> None:
    """Write them."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
