"""Finding the change that a capture id, with or without a record, names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ops.database import UNHURRIED_S
from ops.errors import OpsError, WrongUsage
from ops.explanation.trail import read_trails
from pipeline.objects import is_salesforce_id, long_id

if TYPE_CHECKING:
    from ops.explanation.trail import ChangeTrail
    from pipeline.database import Connection

# One capture holds at most as many records as a trigger gets: 200.
MAX_CHANGES: Final = 200

# What the contract lets a capture be called, and what Penstock calls those that it makes.
_CAPTURE_ID: Final = re.compile(r"[\x21-\x7e]{1,64}")

# The history's key begins with the time, which nobody remembers of a capture: the key's index is
# read through, newest partition first, rather than the records.
_KEY_ONLY: Final = "SET LOCAL enable_seqscan = off"
_FIND: Final = """
    SELECT org_id, captured_at, capture_id, record_id FROM change
    WHERE capture_id = $1 AND ($2::text IS NULL OR org_id = $2)
    ORDER BY captured_at DESC, record_id LIMIT $3"""
_FIND_NEWEST: Final = """
    SELECT * FROM (
        SELECT org_id, captured_at, capture_id, record_id FROM change
        ORDER BY captured_at DESC, capture_id DESC, record_id DESC, org_id DESC LIMIT $4) AS newest
    WHERE capture_id = $1 AND ($2::text IS NULL OR org_id = $2)
    ORDER BY captured_at DESC, record_id LIMIT $3"""
_FIND_OF_RECORD: Final = """
    SELECT org_id, captured_at, capture_id, record_id FROM org JOIN change USING (org_id)
    WHERE capture_id = $1 AND ($2::text IS NULL OR org_id = $2) AND record_id = $4
    ORDER BY captured_at DESC LIMIT $3"""
_FIND_DEAD: Final = """
    SELECT dead_letter_id, reason FROM dead_letter
    WHERE capture_id = $1 AND ($2::text IS NULL OR record_id = $2)
      AND ($3::text IS NULL OR org_id = $3)
    ORDER BY dead_letter_id LIMIT 1"""


async def explain_capture(
    connection: Connection, name: str, org_id: str | None, *, newest_count: int | None = None
) -> list[ChangeTrail]:
    """Return the trails of a capture's changes, `name` being `capture_id` or `capture_id/record`.

    Without its record it is found by nothing but reading the index of the whole history, or of its
    newest `newest_count` changes.

    Raises:
        OpsError: there is no such change; says whether it was set aside as a dead letter.
        WrongUsage: nothing can be called so, or several orgs have one.
    """
    capture_id, _, record = name.partition("/")
    if not _CAPTURE_ID.fullmatch(capture_id):
        raise WrongUsage(f"{name!r} is the id of neither a record nor a capture")
    if record and not is_salesforce_id(record):
        raise WrongUsage(f"{record!r} is not the id of a record (15 or 18 characters)")
    record_id = long_id(record) if record else None
    async with connection.transaction():
        await connection.execute(_KEY_ONLY)
        asked = (capture_id, org_id, MAX_CHANGES)
        if record_id is not None:
            rows = await connection.fetch(_FIND_OF_RECORD, *asked, record_id)
        elif newest_count is not None:
            rows = await connection.fetch(_FIND_NEWEST, *asked, newest_count)
        else:
            rows = await connection.fetch(_FIND, *asked, timeout=UNHURRIED_S)
    if not rows:
        dead = await connection.fetchrow(_FIND_DEAD, capture_id, record_id, org_id)
        if dead is not None:
            raise OpsError(
                f"change {name} was set aside ({dead['reason']}):"
                f" `penstock dead show {dead['dead_letter_id']}`"
            )
        if newest_count is not None and record_id is None:
            raise OpsError(
                f"there is no change {name!r} among the newest {newest_count:,}, and no such dead"
                f" letter: `penstock explain {name}` looks at all, `{name}/RECORD` finds it at once"
            )
        raise OpsError(f"there is no change {name!r} in the history, and no such dead letter")
    if len({row["org_id"] for row in rows}) > 1:
        raise WrongUsage(f"several orgs have a change {name}: say which with --org ORG_ID")
    return await read_trails(connection, rows[0]["org_id"], [tuple(row)[1:] for row in rows])
