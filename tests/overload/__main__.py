"""`make overload`: three times what this machine sustains, and what becomes of it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.benchmarks.site import open_site
from tests.benchmarks.systems import open_penstock
from tests.overload.flood import Outcome, Spread, flood
from tests.salesforce import RULE


def report(outcome: Outcome) -> str:
    """Return the figures as text."""
    quiet = outcome.quiet_waits
    return f"""
sustained             {outcome.sustained:8,.0f} changes/s
offered by 3 orgs     {outcome.offered:8,.0f} changes/s over 300 connections
accepted of it        {outcome.accepted:8,.0f} changes/s; answers by status: {outcome.statuses}
429 takes             {_shown(outcome.too_many)}; longest Retry-After {outcome.most_retry_after_s} s
503 takes             {_shown(outcome.unavailable)}
quiet org             {outcome.quiet_statuses}; callout to commit {_shown(quiet)}
memory of ingest      {outcome.memory_before_bytes >> 20} MiB, at most \
{outcome.memory_peak_bytes >> 20} MiB
all committed after   {outcome.drained_s:8.1f} s
accepted              {outcome.accepted_count:8,} changes; lost {outcome.lost_count}, doubled \
{outcome.doubled_count}
10 s after the load   {outcome.statuses_after}; callout to commit {_shown(outcome.waits_after)}
"""


def _shown(spread: Spread) -> str:
    return (
        f"p50 {spread.p50_s * 1000:,.0f} ms, p99 {spread.p99_s * 1000:,.0f} ms,"
        f" longest {spread.longest_s * 1000:,.0f} ms"
    )


async def _run(seconds: float, change_count: int) -> Outcome:
    async with open_site() as site, site.corner() as corner, open_penstock(corner) as penstock:
        del penstock.environment["PENSTOCK_INGEST__BACKLOG_S"]
        return await flood(
            penstock, warm_s=10, seconds=seconds, change_count=change_count, rules=RULE
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long the load lasts")
    parser.add_argument("--changes", type=int, default=20, help="changes in a callout")
    told = parser.parse_args()
    sys.stdout.write(report(asyncio.run(_run(told.seconds, told.changes))))
