"""`penstock console`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import actions, console_tokens
from ops.actions import Action, command_line_actor
from ops.commands.processes import serve
from ops.console import service
from ops.console_tokens import Role
from ops.runtime import as_json, pass_runtime, print_json, print_table, run
from ops.stack.home import BROKER_URL, DATABASE_URL
from pipeline import logs

if TYPE_CHECKING:
    from ops.console_tokens import NewToken, TokenRow
    from ops.runtime import Runtime


@click.group(invoke_without_command=True)
@click.pass_context
@pass_runtime
def console(runtime: Runtime, context: click.Context) -> None:
    """Serve the console: what moves, what failed and why, in a browser."""
    if context.invoked_subcommand is None:
        settings = runtime.settings(BROKER_URL, DATABASE_URL)
        logs.configure(settings.log, process="console")
        serve(service.run(settings))


@console.group()
def token() -> None:
    """Say who may sign in to the console."""


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEW.value,
    show_default=True,
    help="view: look at everything; operate: change things, too.",
)
@as_json
@pass_runtime
def add(runtime: Runtime, name: str, role: str, *, json: bool) -> None:
    """Make a token for NAME and print it, this once."""
    added = run(_add(runtime, name, Role(role)))
    if json:
        print_json(added)
    else:
        click.echo(added.token)
        click.echo(
            f"It signs {added.name} in to the console as {added.role}, and is shown nowhere else.",
            err=True,
        )


@token.command("list")
@as_json
@pass_runtime
def list_(runtime: Runtime, *, json: bool) -> None:
    """List the tokens that are good."""
    rows = run(_list(runtime))
    if json:
        print_json(rows)
    else:
        print_table(rows, ("name", "role", "added_at"), empty="nobody may sign in yet")


@token.command()
@click.argument("name")
@pass_runtime
def revoke(runtime: Runtime, name: str) -> None:
    """End NAME's token and the sessions that it began, at once."""
    run(_revoke(runtime, name))
    click.echo(f"the token of {name} is revoked")


async def _add(runtime: Runtime, name: str, role: Role) -> NewToken:
    actor = command_line_actor()
    async with (
        runtime.database() as connection,
        actions.recorded(connection, Action.TOKEN_ADD, actor=actor, name=name, role=role.value),
    ):
        return await console_tokens.add(connection, name, role)


async def _list(runtime: Runtime) -> list[TokenRow]:
    async with runtime.database() as connection:
        return await console_tokens.listing(connection)


async def _revoke(runtime: Runtime, name: str) -> None:
    actor = command_line_actor()
    async with (
        runtime.database() as connection,
        actions.recorded(connection, Action.TOKEN_REVOKE, actor=actor, name=name),
    ):
        await console_tokens.revoke(connection, name)
