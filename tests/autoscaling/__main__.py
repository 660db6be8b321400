"""`make autoscaling`: a burst of changes, and real workers scaled by the ScaledObject's numbers.

Private servers with their own defaults, one ingest that bounds the backlog as it does everywhere,
and workers of leads. KEDA and the HPA that it makes are played by `autoscaler`, in real time but
for the waits before anything goes down, which `--sooner` divides. On two cores more workers commit
no more than one does: what this shows is the loop, and that nothing is lost in it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Final

from pipeline.objects import SObject
from tests.autoscaling import numbers
from tests.autoscaling.depth import Depth
from tests.autoscaling.run import Load, Run
from tests.benchmarks.site import open_site
from tests.benchmarks.systems import open_penstock

if TYPE_CHECKING:
    from tests.autoscaling.autoscaler import ScaledObject
    from tests.autoscaling.run import Moment, Outcome

_OBJECT: Final = SObject.LEAD
_TIMEOUT_S: Final = 1200.0
_LOOK_EVERY_S: Final = 5.0
# The chart's pods have a little more.
_GRACE_S: Final = 30.0


def main() -> int:
    """Run it; print what happened. Return 1 if something was not as it has to be."""
    parser = argparse.ArgumentParser(prog="make autoscaling", description=__doc__)
    parser.add_argument("--changes", type=int, default=200_000, help="changes in the burst")
    parser.add_argument("--connections", type=int, default=64, help="connections of the org")
    parser.add_argument("--seed", type=int, default=7, help="what the callouts are drawn from")
    parser.add_argument(
        "--sooner", type=float, default=5.0, help="by what cooldown and stabilisation are divided"
    )
    told = parser.parse_args()
    real = numbers.read(_OBJECT)
    used = real.sooner_down(told.sooner)
    _say(
        f"{real.min_count} to {real.max_count} workers of {_OBJECT}, {real.target_count:g} messages"
        f" each; stabilisation {real.stabilisation_s:g} s, cooldown {real.cooldown_s:g} s, here"
        f" divided by {told.sooner:g}"
    )
    load = Load(told.changes, told.connections, told.seed)
    outcome = asyncio.run(_run(used, load))
    _say(_report(outcome, used))
    return 1 if outcome.broken else 0


async def _run(scaled: ScaledObject, load: Load) -> Outcome:
    async with (
        open_site(["rabbitmq_management"]) as site,
        site.corner() as corner,
        open_penstock(corner) as penstock,
    ):
        # The benchmark's lets everything in.
        del penstock.environment["PENSTOCK_INGEST__BACKLOG_S"]
        management_url = site.rabbitmq.management_url
        depth = Depth(penstock.session, management_url, corner.broker_url, _OBJECT)
        run = Run(
            penstock,
            scaled,
            depth,
            load,
            sobject=_OBJECT,
            grace_s=_GRACE_S,
            folder=corner.folder,
            look_every_s=_LOOK_EVERY_S,
            said=_say_moment,
        )
        _say("     s  messages  callouts 202  changes committed  workers")
        return await run(_TIMEOUT_S)


def _say_moment(moment: Moment) -> None:
    _say(
        f"{moment.at_s:6.1f}{moment.message_count:10,}{moment.callout_count:14,}"
        f"{moment.committed_count:19,}  {'█' * moment.replica_count} {moment.replica_count}"
    )


def _report(outcome: Outcome, scaled: ScaledObject) -> str:
    answers = ", ".join(f"{count:,} of {status}" for status, count in outcome.answers.items())
    kept = "each is once in the history and fired once if it had to, no dead letter"
    return "\n".join(
        (
            (
                f"burst accepted after {outcome.accepted_s:.0f} s, committed after "
                f"{outcome.committed_s:.0f} s; answers: {answers}"
            ),
            (
                f"workers {scaled.min_count}, {outcome.highest_count}, "
                f"{outcome.timeline[-1].replica_count}; {outcome.ended_count} ended by SIGTERM "
                f"amid load, which had {outcome.redelivered_count:,} changes handed over again"
            ),
            f"{outcome.change_count:,} changes accepted; {'BROKEN:' if outcome.broken else kept}",
            *outcome.broken,
        )
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
