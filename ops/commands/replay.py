"""`penstock replay`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from ops import orgs
from ops.actions import command_line_actor
from ops.commands.object_option import objects_option
from ops.commands.replay_lines import callout_plan_lines, history_plan_lines, outcome_lines
from ops.commands.run_progress import drive_in_foreground, ending
from ops.commands.since import Time, now_ms
from ops.errors import WrongUsage
from ops.replay import callout_plan, history_plan
from ops.replay.callouts import CalloutReplay
from ops.replay.outcome import HistoryOutcome, outcome
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from ops.stack.home import BROKER_URL, DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.bulk_runs import BulkRun
    from ops.replay.callout_plan import CalloutPlan
    from ops.replay.history_plan import HistoryPlan
    from pipeline.objects import SObject

MAX_RATE_PER_S: Final = 100_000


class _Asked(NamedTuple):
    since_ms: int
    until_ms: int | None
    objects: tuple[SObject, ...]
    org_id: str | None
    rules: tuple[str, ...]
    rate_per_s: int | None


@click.command()
@click.option(
    "--since",
    "since_ms",
    required=True,
    type=Time(),
    help="How far back: 90m, 24h, 7d, or a time such as 2026-05-01T12:00:00Z.",
)
@click.option("--until", "until_ms", type=Time(), help="The same; default: now.")
@objects_option("Only this object's; may be repeated.")
@click.option("--org", "org_id", help="Only this org's.")
@click.option("--rule", "rules", multiple=True, help="Only through this rule; may be repeated.")
@click.option(
    "--callouts", is_flag=True, help="Publish original callouts again, from the broker's log."
)
@click.option(
    "--rate",
    "rate_per_s",
    type=click.IntRange(1, MAX_RATE_PER_S),
    help=f"Most a second; default: {history_plan.DEFAULT_RATE_PER_S:,} changes, or"
    f" {callout_plan.DEFAULT_RATE_PER_S:,} messages with --callouts.",
)
@click.option("--apply", "is_applied", is_flag=True, help="Act; without it, plan.")
@as_json
@pass_runtime
def replay(  # noqa: PLR0913  one parameter for each argument of the command
    runtime: Runtime,
    *,
    since_ms: int,
    until_ms: int | None,
    objects: tuple[SObject, ...],
    org_id: str | None,
    rules: tuple[str, ...],
    rate_per_s: int | None,
    callouts: bool,
    is_applied: bool,
    json: bool,
) -> None:
    """Send stored changes through the rules again. Plans, and acts with --apply; Ctrl-C pauses.

    A new rule sees old changes, a mended one what it missed; what fired already fires no second
    time. --since and --until are of when changes were captured. A rule's max_age does not count,
    its ceiling does.

    With --callouts, the callouts that ingest received in that time are published again from the
    broker's log, after PostgreSQL lost data. What workers still have has no effect.
    """
    if callouts and rules:
        raise WrongUsage("--callouts publishes for every rule: it takes no --rule")
    asked = _Asked(since_ms, until_ms, objects, org_id, rules, rate_per_s)
    if callouts:
        run(_callouts(runtime, asked, is_applied=is_applied, json=json))
    else:
        run(_history(runtime, asked, is_applied=is_applied, json=json))


async def _history(runtime: Runtime, asked: _Asked, *, is_applied: bool, json: bool) -> None:
    rate_per_s = asked.rate_per_s or history_plan.DEFAULT_RATE_PER_S
    async with runtime.database() as connection:
        planned: HistoryPlan = await history_plan.plan(
            connection,
            since_ms=asked.since_ms,
            until_ms=asked.until_ms or now_ms(),
            org_id=asked.org_id and await orgs.resolve(connection, asked.org_id),
            objects=asked.objects,
            rules=asked.rules,
        )
        if not is_applied:
            _print(planned, history_plan_lines(planned, rate_per_s), json=json)
            return
        begun = await history_plan.begin(
            connection, planned, actor=command_line_actor(), rate_per_s=rate_per_s
        )
    driven = await _drive(runtime, begun, "changes")
    async with runtime.database() as connection:
        found: HistoryOutcome = await outcome(connection, driven)
    if json:
        print_json({"run": driven, "outcome": found})
        return
    click.echo(ending(driven))
    for line in outcome_lines(found):
        click.echo(printable(line))


async def _callouts(runtime: Runtime, asked: _Asked, *, is_applied: bool, json: bool) -> None:
    rate_per_s = asked.rate_per_s or callout_plan.DEFAULT_RATE_PER_S
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    async with runtime.database() as connection:
        org_id = asked.org_id and await orgs.resolve(connection, asked.org_id)
        chosen = CalloutReplay(asked.since_ms, asked.until_ms, list(asked.objects), org_id)
        planned: CalloutPlan = await callout_plan.plan(settings.broker.url, chosen)
        if not is_applied:
            _print(planned, callout_plan_lines(planned, rate_per_s), json=json)
            return
        for warning in planned.warnings:
            click.echo(f"Warning: {warning}", err=True)
        begun = await callout_plan.begin(
            connection, planned, actor=command_line_actor(), rate_per_s=rate_per_s
        )
    driven = await _drive(runtime, begun, "messages of the log")
    if json:
        print_json({"run": driven})
    else:
        click.echo(ending(driven))


async def _drive(runtime: Runtime, begun: BulkRun, what: str) -> BulkRun:
    count = "" if begun.total_count is None else f"{begun.total_count:,} "
    click.echo(f"run {begun.id} begins: {count}{what}", err=True)
    return await drive_in_foreground(runtime.settings(BROKER_URL, DATABASE_URL), begun)


def _print(document: object, lines: Iterable[str], *, json: bool) -> None:
    if json:
        print_json(document)
        return
    for line in lines:
        click.echo(printable(line))
