"""`penstock rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click
import msgspec

from ops import actions, orgs, rule_life, rule_store, rule_versions
from ops.actions import Action, command_line_actor
from ops.commands.lines import times
from ops.commands.load_lines import needed_lines
from ops.commands.rules_test import test
from ops.errors import OpsError
from ops.rule_plan import Outcome, RuleState
from ops.runtime import VERSION, Runtime, as_json, pass_runtime, print_json, print_table, run
from ops.times import iso
from rules import rule_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from ops.needed_loads import NeededLoad
    from ops.rule_life import Changed
    from ops.rule_plan import Plan, PlannedRule
    from ops.rule_versions import RuleRow, RuleWhole
    from pipeline.database import Connection
    from rules.checks.findings import Finding

org_option = click.option("--org", "org_id", help="The org; may be left out while there is one.")


class PlanLine(msgspec.Struct, frozen=True):
    """A rule of a plan as a line of the table; `last_day` counts enrolments."""

    rule: str
    object: str
    version: int
    outcome: str
    state: str
    last_day: str


@click.group()
def rules() -> None:
    """Apply and look at the rules that enrol people."""


@rules.command()
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@org_option
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option("--prune", is_flag=True, help="Remove the rules and sequences that no file holds.")
@as_json
@pass_runtime
def apply(  # noqa: PLR0913  each is a choice of its own
    runtime: Runtime,
    files: tuple[TextIO, ...],
    org_id: str | None,
    *,
    dry_run: bool,
    prune: bool,
    json: bool,
) -> None:
    """Apply what FILES hold (- is standard input): all of it, or nothing after a mistake.

    Prints what becomes of every rule and sequence, and how many enrolments a rule that is new or
    changed would have made in the last day. What rules read from now on and a connected org did not
    tell before is loaded.
    """
    texts = [_read(file) for file in files]
    plan = run(_apply(runtime, org_id, texts, prune=prune, dry_run=dry_run))
    _tell(plan)
    if json:
        print_json(plan)
        return
    if plan.rules or not plan.sequences:
        print_table([_line(one) for one in plan.rules], PlanLine.__struct_fields__, empty="no rule")
    if plan.sequences:
        print_table(plan.sequences, ("sequence", "outcome"), empty="no sequence")
    if dry_run:
        click.echo("nothing was done (--dry-run)", err=True)


@rules.command("list")
@click.option("--org", "org_id", help="Only this org's. Default: every org's.")
@click.option("--all", "removed", is_flag=True, help="Removed rules as well.")
@as_json
@pass_runtime
def list_(runtime: Runtime, org_id: str | None, *, removed: bool, json: bool) -> None:
    """List the rules."""
    rows = run(_list(runtime, org_id, removed=removed))
    where = "" if org_id is None else f" to org {org_id}"
    _print_rows(rows, f"no rule is applied{where} yet: `penstock rules apply FILE`", json=json)


@rules.command()
@click.argument("rule")
@org_option
@as_json
@pass_runtime
def versions(runtime: Runtime, rule: str, org_id: str | None, *, json: bool) -> None:
    """List every version of one rule, from the first."""
    _print_rows(run(_versions(runtime, org_id, rule)), "no version", json=json)


@rules.command()
@click.argument("rule")
@org_option
@click.option("--version", type=VERSION, help="Default: the one that counts.")
@as_json
@pass_runtime
def show(
    runtime: Runtime, rule: str, org_id: str | None, version: int | None, *, json: bool
) -> None:
    """Print one rule as it was applied."""
    found = run(_show(runtime, org_id, rule, version))
    if json:
        print_json(found)
    else:
        click.echo(f"# version {found.version}, {found.state}, applied {found.applied_at}")
        click.echo(found.source.strip("\n"))


@rules.command()
@click.argument("rule")
@org_option
@click.option("--to", "version", type=VERSION, help="Default: the version before.")
@as_json
@pass_runtime
def rollback(
    runtime: Runtime, rule: str, org_id: str | None, version: int | None, *, json: bool
) -> None:
    """Let an earlier version of RULE decide again, or a removed rule."""

    async def change(connection: Connection, wanted: str) -> Changed:
        async with actions.recorded(
            connection,
            Action.RULE_ROLLBACK,
            actor=command_line_actor(),
            org_id=wanted,
            rule=rule,
            version=version,
        ):
            return await rule_life.roll_back(connection, wanted, rule, version)

    _print_changed(run(_change(runtime, org_id, change)), json=json)


@rules.command()
@click.argument("names", metavar="RULE...", nargs=-1, required=True)
@org_option
@as_json
@pass_runtime
def disable(runtime: Runtime, names: tuple[str, ...], org_id: str | None, *, json: bool) -> None:
    """Stop rules until they are enabled again, whatever is applied meanwhile."""

    async def change(connection: Connection, wanted: str) -> Changed:
        async with _recorded(connection, Action.RULE_DISABLE, wanted, names):
            return await rule_life.disable(connection, wanted, names)

    _print_changed(run(_change(runtime, org_id, change)), json=json)


@rules.command()
@click.argument("names", metavar="RULE...", nargs=-1, required=True)
@org_option
@as_json
@pass_runtime
def enable(runtime: Runtime, names: tuple[str, ...], org_id: str | None, *, json: bool) -> None:
    """Let disabled rules decide again."""

    async def change(connection: Connection, wanted: str) -> Changed:
        async with _recorded(connection, Action.RULE_ENABLE, wanted, names):
            return await rule_life.enable(connection, wanted, names)

    _print_changed(run(_change(runtime, org_id, change)), json=json)


@rules.command()
def schema() -> None:
    """Print the JSON Schema of rules and sequences, for editors that check while one types."""
    print_json(rule_schema())


rules.add_command(test)


def _tell(plan: Plan) -> None:
    """Tell on standard error what a table has no room for."""
    _warn(plan.warnings)
    _tell_loads(plan.org_id, plan.loads, dry_run=plan.dry_run)
    for one in plan.rules:
        if one.outcome is Outcome.CHANGED and one.state is RuleState.DISABLED:
            hint = f"stays disabled: `penstock rules enable {one.rule}`"
            click.echo(f"rule {one.rule!r} {hint}", err=True)
    partly = {
        (one.object, one.last_day.since_ms)
        for one in plan.rules
        if one.last_day is not None and not one.last_day.is_whole
    }
    for sobject, since_ms in sorted(partly):
        click.echo(
            f"{sobject} changed too often in the last day to look at all of it: what its rules"
            f" would have done is counted since {iso(since_ms)}",
            err=True,
        )


def _line(one: PlannedRule) -> PlanLine:
    last_day = ""
    if one.last_day is not None:
        held = f" ({one.last_day.held} of them held)" if one.last_day.held else ""
        last_day = f"{times(one.last_day.enrolments, 'enrolment')}{held}"
    return PlanLine(one.rule, one.object, one.version, one.outcome, one.state, last_day)


def _print_rows(rows: list[RuleRow], empty: str, *, json: bool) -> None:
    if json:
        print_json(rows)
    else:
        columns = ("org_id", "rule", "object", "version", "state", "applied_at")
        print_table(rows, columns, empty=empty)


def _print_changed(changed: Changed, *, json: bool) -> None:
    _warn(changed.warnings)
    _tell_loads(changed.org_id, changed.loads, dry_run=False)
    if json:
        print_json(changed)
        return
    for one in changed.rules:
        click.echo(f"rule {one.rule!r} is {one.state} at version {one.version}")


def _tell_loads(org_id: str, loads: Iterable[NeededLoad], *, dry_run: bool) -> None:
    for line in needed_lines(org_id, loads, dry_run=dry_run):
        click.echo(line, err=True)


def _warn(warnings: Iterable[Finding]) -> None:
    for warning in warnings:
        click.echo(str(warning), err=True)


def _read(file: TextIO) -> tuple[str, str]:
    try:
        return file.name, file.read()
    except UnicodeDecodeError as error:
        raise OpsError(f"{file.name} is not UTF-8: {error.reason} at byte {error.start}") from None


async def _apply(
    runtime: Runtime,
    org_id: str | None,
    texts: list[tuple[str, str]],
    *,
    prune: bool,
    dry_run: bool,
) -> Plan:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await rule_store.apply(
            connection, wanted, texts, prune=prune, dry_run=dry_run, with_last_day=True
        )


async def _list(runtime: Runtime, org_id: str | None, *, removed: bool) -> list[RuleRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await rule_versions.listing(connection, wanted, removed=removed)


async def _versions(runtime: Runtime, org_id: str | None, rule: str) -> list[RuleRow]:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await rule_versions.versions(connection, wanted, rule)


async def _show(runtime: Runtime, org_id: str | None, rule: str, version: int | None) -> RuleWhole:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await rule_versions.show(connection, wanted, rule, version)


async def _change(
    runtime: Runtime,
    org_id: str | None,
    change: Callable[[Connection, str], Coroutine[Any, Any, Changed]],
) -> Changed:
    async with runtime.database() as connection:
        return await change(connection, await orgs.resolve(connection, org_id))


def _recorded(
    connection: Connection, action: Action, org_id: str, names: tuple[str, ...]
) -> AbstractAsyncContextManager[None]:
    actor = command_line_actor()
    return actions.recorded(connection, action, actor=actor, org_id=org_id, rules=list(names))
