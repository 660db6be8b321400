"""One dead letter, whole: decoded as far as it goes, and what became of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from ops.dead_letters.listing import COLUMNS, DeadLetterRow
from ops.errors import OpsError
from ops.times import iso, with_iso_times
from pipeline import envelope, json_text
from pipeline.envelope import Item, Kind
from pipeline.gzip_text import GzipError
from workers.received import decode_item

if TYPE_CHECKING:
    from pipeline.database import Connection

_SHOW: Final = f"""
    SELECT {COLUMNS}, original, message_hash IS NOT NULL AS is_message,
           (SELECT created_by FROM bulk_run WHERE bulk_run.run_id = dead_letter.run_id)
               AS settled_by,
           (SELECT persisted_at FROM change
            WHERE change.captured_at = dead_letter.captured_at
              AND change.capture_id = dead_letter.capture_id
              AND change.record_id = dead_letter.record_id
              AND change.org_id = dead_letter.org_id) AS persisted_at
    FROM dead_letter WHERE dead_letter_id = $1"""  # noqa: S608  our own columns


class DeadCallout(msgspec.Struct, frozen=True):
    """One callout of a message; `received_at` is Unix ms.

    `body` is its JSON; if it is none, `text` has it, what is no UTF-8 escaped. `problem` is why it
    cannot be decoded; None of one that its message alone took along.
    """

    callout_id: str
    received_at: int
    kind: Kind
    problem: str | None
    body: Raw | None
    text: str | None


class DeadLetterWhole(DeadLetterRow, frozen=True):
    """A dead letter with all that it holds; times are RFC 3339.

    `original` is the callout of a change, as Apex wrote it. A message has its `callouts` instead,
    or its bytes in `message_base64` when they are no message of ours. `settled_by` is who replayed
    or discarded it last, `persisted_at` when the change came to be in the history all the same.
    """

    settled_by: str | None
    persisted_at: str | None
    original: Raw | None
    callouts: list[DeadCallout]
    message_base64: str | None


async def show(connection: Connection, dead_letter_id: int) -> DeadLetterWhole:
    """Return one dead letter, whole.

    Raises:
        OpsError: there is none of that id.
    """
    row = await connection.fetchrow(_SHOW, dead_letter_id)
    if row is None:
        raise OpsError(f"there is no dead letter {dead_letter_id}: `penstock dead list`")
    known = msgspec.convert(with_iso_times(row), DeadLetterRow)
    original: Raw | None = None
    callouts: list[DeadCallout] = []
    message_base64: str | None = None
    if not row["is_message"]:
        original = Raw(row["original"])
    else:
        try:
            callouts = [_callout(item) for item in envelope.decode(row["original"])]
        except envelope.UNREADABLE:
            message_base64 = base64.b64encode(row["original"]).decode()
    return DeadLetterWhole(
        **msgspec.structs.asdict(known),
        settled_by=row["settled_by"],
        persisted_at=None if row["persisted_at"] is None else iso(row["persisted_at"]),
        original=original,
        callouts=callouts,
        message_base64=message_base64,
    )


def _callout(item: Item) -> DeadCallout:
    poison = decode_item(item).poison
    try:
        text = item.text()
        body = json_text.unmask(text) if item.masked else text
    except GzipError:
        body = item.body
    is_json = _is_json(body)
    return DeadCallout(
        callout_id=item.callout_id,
        received_at=item.received_at,
        kind=item.kind,
        problem=None if poison is None else str(poison),
        body=Raw(body) if is_json else None,
        text=None if is_json else body.decode("utf-8", "backslashreplace"),
    )


def _is_json(body: bytes) -> bool:
    try:
        json_text.require_utf8(body)
        msgspec.json.decode(json_text.mask(body), type=Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
