"""Tells of enrolments as they happen, for as long as the local stack is up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ops.database import connected
from ops.errors import OpsError
from ops.explanation import explain_enrollment

if TYPE_CHECKING:
    from ops.local.report import Report
    from pipeline.settings import Secret

_LOOK_EVERY_S: Final = 0.5
_NEWEST: Final = "SELECT coalesce(max(enrollment_id), 0) FROM enrollment"
# Once the target was told, the whole trail can be shown.
_READ_NEW: Final = """
    SELECT DISTINCT enrollment_id FROM enrollment JOIN outbox USING (enrollment_id, generation)
    WHERE enrollment_id > $1 AND enrollment.firing_id IS NOT NULL AND outbox.state <> 'open'
    ORDER BY enrollment_id LIMIT 20"""


async def tell_of_enrollments(database_url: Secret, report: Report) -> None:
    """Print each enrolment that comes to be from now on, until cancelled."""
    last: int | None = None
    while True:
        try:
            async with connected(database_url) as connection:
                if last is None:
                    last = await connection.fetchval(_NEWEST)
                while True:
                    for row in await connection.fetch(_READ_NEW, last):
                        last = row["enrollment_id"]
                        report.enrolled(await explain_enrollment(connection, row["enrollment_id"]))
                    await asyncio.sleep(_LOOK_EVERY_S)
        except OpsError:
            # PostgreSQL was killed and is being started again, which is told where it is done.
            await asyncio.sleep(_LOOK_EVERY_S)
