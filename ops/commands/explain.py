"""`penstock explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import click
import msgspec

from ops.explanation import Explanation, explain_enrollment
from ops.runtime import (
    ROW_ID,
    Runtime,
    as_json,
    pass_runtime,
    print_json,
    print_table,
    printable,
    run,
)
from ops.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.enrollments import State
    from ops.explanation import Delivery


class StageLine(msgspec.Struct, frozen=True):
    """A stage as a line of the table."""

    stage: str
    at: str
    since_received_ms: float | None


@click.command()
@click.argument("enrollment_id", metavar="ENROLLMENT", type=ROW_ID)
@as_json
@pass_runtime
def explain(runtime: Runtime, enrollment_id: int, *, json: bool) -> None:
    """Say why someone is enrolled, and when each stage handled it."""
    found = run(_explain(runtime, enrollment_id))
    if json:
        print_json(found)
        return
    for line in _lines(found):
        click.echo(printable(line))
    stages = [StageLine(one.stage, iso(one.at), one.since_received_ms) for one in found.stages]
    print_table(stages, StageLine.__struct_fields__, empty="no stage is known")


def _lines(found: Explanation) -> Iterator[str]:
    yield f"{found.recipient} {standing(found.state, found.sequence)} because"
    yield (
        f"rule {found.rule!r} (version {found.rule_version}) fired on the"
        f" {found.operation or 'change'} of {found.object} {found.record_id}:"
    )
    for condition in found.conditions:
        yield f"  - {condition.reads}"
    callout = "" if found.callout_id is None else f", callout {found.callout_id}"
    yield f"capture {found.capture_id}{callout}"
    if found.delivery is not None and found.attempts is not None:
        trouble = f", last error: {found.last_error}" if found.last_error else ""
        yield delivery(found.delivery, found.attempts) + trouble


def standing(state: State, sequence: str) -> str:
    """Say how someone in a state stands to a sequence, before a `because`."""
    match state:
        case "pending":
            return f"will enter sequence {sequence!r} (the target was not told yet)"
        case "active":
            return f"is in sequence {sequence!r}"
        case "failed":
            return f"was to enter sequence {sequence!r} (but the target refused)"
        case "exited":
            return f"is no longer in sequence {sequence!r}, and entered it"
        case "finished":
            return f"has finished sequence {sequence!r}, and entered it"
    assert_never(state)


def delivery(state: Delivery, attempts: int) -> str:
    """Say how far the target has been told."""
    times = f"{attempts} attempt" + ("" if attempts == 1 else "s")
    match state:
        case "open":
            return f"not delivered yet, {times}"
        case "delivered":
            return f"delivered after {times}"
        case "failed":
            return f"delivery failed after {times}"
        case "superseded":
            return f"delivery superseded after {times}"
    assert_never(state)


async def _explain(runtime: Runtime, enrollment_id: int) -> Explanation:
    async with runtime.database() as connection:
        return await explain_enrollment(connection, enrollment_id)
