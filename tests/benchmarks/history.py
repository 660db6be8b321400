"""A long history of full-width leads, written straight into a database's table `change`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.sample.records import EDITS_RUN, SampleOrg
from pipeline.objects import long_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.database import Connection

SEED: Final = 4
# Distinct edits of distinct leads; a longer history goes round them under other ids.
_EDIT_COUNT: Final = 20_000
_LEAD_COUNT: Final = 5_000
_COLUMNS: Final = (
    "captured_at",
    "capture_id",
    "record_id",
    "org_id",
    "object",
    "operation",
    "sequence",
    "transaction_id",
    "actor_id",
    "callout_id",
    "received_at",
    "old",
    "new",
)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


async def fill(
    connection: Connection, org: SampleOrg, change_count: int, *, since_ms: int, until_ms: int
) -> None:
    """Write `change_count` updates, evenly from `since_ms` until `until_ms` (Unix ms)."""
    await connection.copy_records_to_table(
        "change",
        records=_rows(org, change_count, since_ms, until_ms),
        columns=_COLUMNS,
        timeout=None,
    )


def _rows(
    org: SampleOrg, change_count: int, since_ms: int, until_ms: int
) -> Iterator[tuple[Any, ...]]:
    step = (until_ms - since_ms) / change_count
    for number, (actor_id, lead_id, old, new) in zip(
        range(change_count), itertools.cycle(_edits(org)), strict=False
    ):
        at = since_ms + int(number * step)
        # Another lead each time round, so that there are as many people as a real org has.
        record_id = long_id(f"00Q8Z{number % (change_count // 4 or 1):010}")
        yield (
            at,
            f"capture-{number:09}",
            record_id,
            org.org_id,
            "Lead",
            "update",
            0,
            f"transaction-{number:09}",
            actor_id,
            f"msg_{number:09}",
            at + 400,
            old.replace(lead_id, record_id),
            new.replace(lead_id, record_id),
        )


def _edits(org: SampleOrg) -> Iterator[tuple[str, str, str, str]]:
    for capture in org.edits(_EDIT_COUNT, EDITS_RUN, lead_count=_LEAD_COUNT):
        (change,) = capture.changes
        if change.new is not None:
            lead_id = str(change.new["Id"])
            old, new = (_encoder.encode(side).decode() for side in (change.old, change.new))
            yield capture.actor_id, lead_id, old, new
