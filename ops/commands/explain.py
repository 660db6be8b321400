"""`penstock explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import click

from ops import orgs
from ops.commands.explain_lines import change_lines, enrollment_lines, record_lines
from ops.errors import OpsError, WrongUsage
from ops.explanation import (
    EnrollmentTrail,
    RecordTrail,
    explain_capture,
    explain_enrollment_whole,
    explain_record,
)
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from pipeline.objects import is_salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.explanation import ChangeTrail
    from pipeline.database import Connection

    Trail: TypeAlias = EnrollmentTrail | RecordTrail | list[ChangeTrail]

_MAX_ENROLLMENT_ID: Final = 2**63 - 1
MAX_LIMIT: Final = 1_000


@click.command()
@click.argument("subject", metavar="ENROLLMENT|RECORD|CHANGE")
@click.option("--org", "org_id", help="The org, where more than one has such a record or change.")
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1, MAX_LIMIT),
    help="Most changes of a record.",
)
@as_json
@pass_runtime
def explain(runtime: Runtime, subject: str, org_id: str | None, *, limit: int, json: bool) -> None:
    """Say why something happened, or did not, and when each stage handled it.

    ENROLLMENT is the number of an enrolment, RECORD a record's id (15 or 18 characters), CHANGE a
    capture id, with or without one of its records: capture_id/record_id.
    """
    found = run(_explain(runtime, subject, org_id, limit))
    if json:
        print_json(found)
        return
    for line in _lines(found):
        click.echo(printable(line))


def _lines(found: Trail) -> Iterator[str]:
    if isinstance(found, EnrollmentTrail):
        yield from enrollment_lines(found)
    elif isinstance(found, RecordTrail):
        yield from record_lines(found)
    else:
        for number, change in enumerate(found):
            if number:
                yield ""
            yield from change_lines(change)


async def _explain(runtime: Runtime, subject: str, org_id: str | None, limit: int) -> Trail:
    async with runtime.database() as connection:
        if org_id is not None:
            org_id = await orgs.resolve(connection, org_id)
        if is_salesforce_id(subject):
            return await _explain_id(connection, subject, org_id, limit)
        if subject.isdecimal() and subject.isascii():
            if int(subject) > _MAX_ENROLLMENT_ID:
                raise WrongUsage(f"{subject} is no number of an enrolment")
            return await explain_enrollment_whole(connection, int(subject), org_id)
        return await explain_capture(connection, subject, org_id)


async def _explain_id(
    connection: Connection, subject: str, org_id: str | None, limit: int
) -> RecordTrail | list[ChangeTrail]:
    """Explain a record, or a capture that is named like one."""
    try:
        return await explain_record(connection, subject, org_id, limit=limit)
    except WrongUsage:
        raise
    except OpsError as no_record:
        try:
            return await explain_capture(connection, subject, org_id)
        except OpsError:
            raise no_record from None
