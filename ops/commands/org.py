"""`penstock org`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from ops import orgs
from ops.runtime import Runtime, as_json, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.orgs import ConnectCode, OrgState


class OrgLine(msgspec.Struct, frozen=True):
    """An org as a line of the table; a paused one shows whether it is connected, too."""

    org_id: str
    state: str
    sync_user_id: str
    instance_url: str | None
    connected_at: str | None
    code_open_until: str | None


@click.group()
def org() -> None:
    """Register Salesforce orgs and connect them."""


@org.command()
@click.argument("org_id")
@click.option("--sync-user", required=True, help="Id of the user whose handshake connects it.")
@as_json
@pass_runtime
def add(runtime: Runtime, org_id: str, sync_user: str, *, json: bool) -> None:
    """Register an org; print the code that connects it, once."""
    code = run(_add(runtime, org_id, sync_user))
    told = f"org {code.org_id} is registered. Connect code, shown only now, good for 24 h:"
    _print_code(runtime, code, told, json=json)


@org.command("list")
@as_json
@pass_runtime
def list_(runtime: Runtime, *, json: bool) -> None:
    """List the orgs and whether they are connected."""
    rows = run(_list(runtime))
    if json:
        print_json(rows)
    else:
        lines = [_line(row) for row in rows]
        columns = OrgLine.__struct_fields__
        print_table(lines, columns, empty="no org is registered yet: `penstock org add`")


@org.command()
@click.argument("org_id")
@as_json
@pass_runtime
def rotate(runtime: Runtime, org_id: str, *, json: bool) -> None:
    """Print a new connect code; the old secret stays good until the new one is first used."""
    code = run(_rotate(runtime, org_id))
    told = (
        f"org {code.org_id} has a new connect code, shown only now, good for 24 h;"
        " the old secret stays good until the new one is first used:"
    )
    _print_code(runtime, code, told, json=json)


@org.command()
@click.argument("org_id")
@pass_runtime
def pause(runtime: Runtime, org_id: str) -> None:
    """Answer the org's callouts with 403, so that it parks them."""
    run(_set_paused(runtime, org_id, paused=True))
    click.echo(f"org {org_id} is paused")


@org.command()
@click.argument("org_id")
@pass_runtime
def resume(runtime: Runtime, org_id: str) -> None:
    """Take the org's callouts in again."""
    run(_set_paused(runtime, org_id, paused=False))
    click.echo(f"org {org_id} is no longer paused")


def _line(row: OrgState) -> OrgLine:
    connected = "connected" if row.connected else "not connected"
    return OrgLine(
        org_id=row.org_id,
        state=row.state if row.state == connected else f"{row.state}, {connected}",
        sync_user_id=row.sync_user_id,
        instance_url=row.instance_url,
        connected_at=row.connected_at,
        code_open_until=row.connect_code_expires_at,
    )


def _print_code(runtime: Runtime, code: ConnectCode, told: str, *, json: bool) -> None:
    if json:
        print_json(code)
        return
    public_url = runtime.settings().ingest.public_url
    click.echo(f"{told}\n")
    click.echo(f"    {code.connect_code}\n")
    click.echo(
        "In Salesforce, with the Penstock package, its Sync User runs this as anonymous Apex:\n"
    )
    click.echo(f"    {code.apex(public_url)}\n")
    if not public_url:
        click.echo(
            f"Write ingest's address in place of {orgs.NO_PUBLIC_URL}, or set"
            " PENSTOCK_INGEST__PUBLIC_URL to have it here."
        )
    click.echo("`penstock org list` shows when that is done.")


async def _add(runtime: Runtime, org_id: str, sync_user: str) -> ConnectCode:
    async with runtime.database() as connection:
        return await orgs.add(connection, org_id, sync_user)


async def _list(runtime: Runtime) -> list[OrgState]:
    async with runtime.database() as connection:
        return await orgs.listing(connection)


async def _rotate(runtime: Runtime, org_id: str) -> ConnectCode:
    async with runtime.database() as connection:
        return await orgs.rotate(connection, org_id)


async def _set_paused(runtime: Runtime, org_id: str, *, paused: bool) -> None:
    async with runtime.database() as connection:
        await orgs.set_paused(connection, org_id, paused=paused)
