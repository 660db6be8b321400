"""`make chaos`: real processes under load and faults drawn from a seed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from tests.chaos import campaign, plan
from tests.chaos.planted import start_with
from tests.chaos.report import report
from tests.chaos.servers import running_servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.campaign import Outcome

_FOLDER: Final = Path("dist/chaos")


def main() -> int:
    """Run one seed; print plan, events and figures. Return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what faults and load are drawn from")
    parser.add_argument("--minutes", type=float, default=4.0, help="about how long faults last")
    parser.add_argument("--together", type=int, default=2, help="most faults at once")
    parser.add_argument("--planted", default="", help="a bug of tests/simulation/planted.py")
    told = parser.parse_args()
    # The reference's worker tells in this very process of what it does.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = _FOLDER / f"seed-{told.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "campaign.log").open("w", buffering=1) as log:

        def say(line: str) -> None:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            log.write(line + "\n")

        rounds = plan.draw(told.seed, told.minutes, together=told.together)
        say(f"seed {told.seed}, {told.minutes:g} minutes, up to {told.together} faults at once")
        for number, one in enumerate(rounds, 1):
            say(f"plan {number}: {one}")
        outcome = asyncio.run(_run(told.seed, rounds, folder, told.planted, say))
        say(report([outcome]))
        if outcome.broken:
            again = f"SEED={told.seed} MINUTES={told.minutes:g}"
            say(f"Repeat it: make chaos {again}; logs are in {folder}")
    return 1 if outcome.broken else 0


async def _run(
    seed: int, rounds: list[plan.Round], folder: Path, bug: str, say: Callable[[str], None]
) -> Outcome:
    async with running_servers() as servers:
        return await campaign.run(servers, rounds, seed, folder, say, start=start_with(bug))


if __name__ == "__main__":
    sys.exit(main())
