"""The options that say which dead letters are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from ops import orgs
from ops.commands.since import Time
from ops.dead_letters import DeadFilter, DeadState
from ops.runtime import ROW_ID
from ops.times import iso
from pipeline.errors import Reason
from pipeline.objects import SObject, long_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.database import Connection

_ANY: Final = "any"


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of which `chosen` makes a filter."""
    for option in (
        click.option("--run", "run_id", type=ROW_ID, help="Only what this run dealt with last."),
        click.option("--newer", "newer_than", type=Time(), help="Only what failed since: 24h, 7d."),
        click.option(
            "--older", "older_than", type=Time(), help="Only what failed before: 24h, 7d."
        ),
        click.option(
            "--state",
            type=click.Choice([*(state.value for state in DeadState), _ANY]),
            default=DeadState.OPEN.value,
            show_default=True,
            help="Only those in this state.",
        ),
        click.option("--capture", "capture_id", help="Only this capture's."),
        click.option("--record", "record_id", help="Only this record's."),
        click.option("--text", help="Only errors with these words; the last may be a beginning."),
        click.option(
            "--reason",
            type=click.Choice([reason.value for reason in Reason]),
            help="Only this reason's.",
        ),
        click.option(
            "--object",
            "sobject",
            type=click.Choice([sobject.value for sobject in SObject], case_sensitive=False),
            help="Only this object's.",
        ),
        click.option("--org", "org_id", help="Only this org's."),
    ):
        command = option(command)
    return command


def chosen(ids: tuple[int, ...], options: dict[str, Any]) -> DeadFilter:
    """Return the filter that ids and options name."""
    state, sobject, reason = options["state"], options["sobject"], options["reason"]
    record_id = options["record_id"]
    return DeadFilter(
        state=None if state == _ANY else DeadState(state),
        ids=ids or None,
        org_id=options["org_id"],
        object=None if sobject is None else SObject(sobject),
        reason=None if reason is None else Reason(reason),
        text=options["text"],
        record_id=None if record_id is None else long_id(record_id),
        capture_id=options["capture_id"],
        older_than=options["older_than"],
        newer_than=options["newer_than"],
        run_id=options["run_id"],
    )


async def resolved(connection: Connection, wanted: DeadFilter) -> DeadFilter:
    """Return a filter whose org is one that is known.

    Raises:
        OpsError: it is not.
    """
    if wanted.org_id is None:
        return wanted
    org_id = await orgs.resolve(connection, wanted.org_id)
    return msgspec.structs.replace(wanted, org_id=org_id)


def told(wanted: DeadFilter) -> str:
    """Return a filter in words: `open, reason out_of_window, object Lead`."""
    parts = ["of any state" if wanted.state is None else wanted.state.value]
    if wanted.ids is not None:
        parts.append("ids " + ", ".join(map(str, wanted.ids[:10])))
    fields = ("org_id", "object", "reason", "text", "record_id", "capture_id", "run_id")
    values = ((field, getattr(wanted, field)) for field in fields)
    parts += [f"{field.removesuffix('_id')} {value}" for field, value in values if value]
    if wanted.older_than is not None:
        parts.append(f"failed before {iso(wanted.older_than)}")
    if wanted.newer_than is not None:
        parts.append(f"failed since {iso(wanted.newer_than)}")
    return ", ".join(parts)
