"""`penstock rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from ops import orgs, rule_store
from ops.errors import OpsError
from ops.runtime import VERSION, Runtime, as_json, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.rule_store import Applied, RuleRow, RuleWhole

org_option = click.option("--org", "org_id", help="The org; may be left out while there is one.")


@click.group()
def rules() -> None:
    """Apply and look at the rules that enrol people."""


@rules.command()
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@org_option
@as_json
@pass_runtime
def apply(runtime: Runtime, files: tuple[TextIO, ...], org_id: str | None, *, json: bool) -> None:
    """Apply the rules in FILES (- is standard input): all of them, or none after a mistake."""
    applied = run(_apply(runtime, org_id, [_read(file) for file in files]))
    if json:
        print_json(applied)
    else:
        print_table(applied, ("rule", "object", "version", "outcome"), empty="no rule")


@rules.command("list")
@click.option("--org", "org_id", help="Only this org's. Default: every org's.")
@as_json
@pass_runtime
def list_(runtime: Runtime, org_id: str | None, *, json: bool) -> None:
    """List the rules."""
    rows = run(_list(runtime, org_id))
    if json:
        print_json(rows)
    else:
        columns = ("org_id", "rule", "object", "version", "state", "applied_at")
        where = "" if org_id is None else f" to org {org_id}"
        empty = f"no rule is applied{where} yet: `penstock rules apply FILE`"
        print_table(rows, columns, empty=empty)


@rules.command()
@click.argument("rule")
@org_option
@click.option("--version", type=VERSION, help="Default: the newest.")
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


def _read(file: TextIO) -> tuple[str, str]:
    try:
        return file.name, file.read()
    except UnicodeDecodeError as error:
        raise OpsError(f"{file.name} is not UTF-8: {error.reason} at byte {error.start}") from None


async def _apply(
    runtime: Runtime, org_id: str | None, texts: list[tuple[str, str]]
) -> list[Applied]:
    async with runtime.database() as connection:
        return await rule_store.apply(connection, await orgs.resolve(connection, org_id), texts)


async def _list(runtime: Runtime, org_id: str | None) -> list[RuleRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await rule_store.listing(connection, wanted)


async def _show(runtime: Runtime, org_id: str | None, rule: str, version: int | None) -> RuleWhole:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await rule_store.show(connection, wanted, rule, version)
