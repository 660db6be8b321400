"""Check every file in deploy/ with the tool that will read it: `python -m tests.deployment`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from tests.deployment import (
    compose,
    helm,
    image,
    monitoring,
    nginx,
    postgres,
    rabbitmq,
    systemd,
)

if TYPE_CHECKING:
    from tests.deployment.check import Check

# In the order of a change's way: image, machine, edge, broker, database, cluster, watching.
CHECKS: Final[tuple[Check, ...]] = (
    *image.CHECKS,
    *compose.CHECKS,
    *systemd.CHECKS,
    *nginx.CHECKS,
    *rabbitmq.CHECKS,
    *postgres.CHECKS,
    *helm.CHECKS,
    *monitoring.CHECKS,
)


def main() -> int:
    """Run each check, tell what it found; 1 if anything is wrong."""
    wrong = 0
    for check in CHECKS:
        if missing := check.missing():
            print(f"skipped: {check.what} (needs {', '.join(missing)})")  # noqa: T201
            continue
        problems = check.run()
        wrong += len(problems)
        print(f"{'wrong' if problems else 'good'}: {check.what}")  # noqa: T201
        for line in problems:
            print(f"  {line}")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
