"""Check every file in deploy/ with the tool that will read it: `python -m tests.deployment`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
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

# One waits for RabbitMQ, another for promtool.
_AT_ONCE: Final = 3


def main() -> int:
    """Run the checks, some at once since they wait for servers; 1 if anything is wrong."""
    wrong = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for check, problems in zip(CHECKS, pool.map(_run, CHECKS), strict=True):
            if problems is None:
                print(f"skipped: {check.what} (needs {', '.join(check.missing())})")  # noqa: T201
                continue
            wrong += len(problems)
            print(f"{'wrong' if problems else 'good'}: {check.what}")  # noqa: T201
            for line in problems:
                print(f"  {line}")  # noqa: T201
    return 1 if wrong else 0


def _run(check: Check) -> list[str] | None:
    """Return what is wrong; None where a tool is missing."""
    return None if check.missing() else check.run()


if __name__ == "__main__":
    sys.exit(main())
