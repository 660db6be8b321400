"""Making a restored database ready to catch up with the one that was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops import relay_switch
from ops.actions import Action, recorded
from ops.times import iso

if TYPE_CHECKING:
    from pipeline.database import Connection

# More than the lost database can have given out since the backup, and far from what a bigint holds.
SKIPPED_COUNT: Final = 10_000_000

_SKIP: Final = """
    SELECT setval(sequence, nextval(sequence) + $1) FROM (
        SELECT pg_get_serial_sequence(quote_ident(table_name), column_name)::regclass AS sequence
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND is_identity = 'YES') AS numbered"""
# By an index of the newest partitions; in an order that nearly is that of receipt.
_NEWEST: Final = """
    SELECT max(received_at) FROM (
        SELECT received_at FROM change ORDER BY captured_at DESC LIMIT 1000) AS newest"""


class Restored(msgspec.Struct, frozen=True):
    """What was found and done.

    `received_until` (RFC 3339): when ingest received the newest change that the backup has; None
    of an empty history. `skipped_count`: how many numbers of each kind are given to nothing.
    """

    received_until: str | None
    skipped_count: int


async def prepare(connection: Connection, *, actor: str) -> Restored:
    """Pause the relay, and give out no number that the lost database may have given out already.

    Targets are told an enrolment's number, and the log holds the marks of runs by theirs. To be
    called before workers and relays start; again does no harm.
    """
    async with recorded(connection, Action.DATABASE_RESTORED, actor=actor):
        await relay_switch.pause_target(connection, relay_switch.EVERYTHING)
        await connection.fetch(_SKIP, SKIPPED_COUNT)
    newest = await connection.fetchval(_NEWEST)
    return Restored(None if newest is None else iso(newest), SKIPPED_COUNT)
