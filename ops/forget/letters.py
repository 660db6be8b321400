"""Dead letters that mention a forgotten person: texts without the address, messages without them.

Letters of the person's own changes are gone by then. A message is kept whole as the broker had it,
with the callouts of others; it is written anew without what is the person's.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline import envelope
from pipeline.gzip_text import GzipError
from pipeline.objects import long_id
from workers.forgotten import alone, own_addresses
from workers.received import decode_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.database import Connection
    from pipeline.envelope import Item

PAGE_COUNT: Final = 100
_READ: Final = """
    SELECT dead_letter_id, original, message_hash IS NOT NULL AS is_message FROM dead_letter
    WHERE dead_letter_id > $2 AND coalesce(org_id, $1) = $1
    ORDER BY dead_letter_id LIMIT $3 FOR NO KEY UPDATE"""
_WRITE: Final = "UPDATE dead_letter SET original = $2 WHERE dead_letter_id = $1"
# One that is there already without the person is the same letter.
_WRITE_MESSAGE: Final = """
    UPDATE dead_letter SET original = $2, message_hash = $3
    WHERE dead_letter_id = $1
      AND NOT EXISTS (SELECT FROM dead_letter WHERE message_hash = $3)
    RETURNING true"""
_DELETE: Final = "DELETE FROM dead_letter WHERE dead_letter_id = $1"
_NOT_BEFORE: Final = rb"(?:(?<![\w.%+-])|(?<=\\[bfnrt]))"
_NOT_BEHIND: Final = rb"(?![\w-]|\.\w)"


class Wanted(NamedTuple):
    """Who is looked for: the ids of records, and addresses in every form."""

    record_ids: frozenset[str]
    addresses: frozenset[str]

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """What finds an address in a text."""
        if not self.addresses:
            return None
        either = b"|".join(re.escape(one.encode()) for one in sorted(self.addresses))
        return re.compile(_NOT_BEFORE + b"(?:" + either + b")" + _NOT_BEHIND, re.IGNORECASE)


async def clear_page(
    connection: Connection, org_id: str, wanted: Wanted, after_id: int
) -> tuple[int | None, int]:
    """Clear a page of letters; return the last one's id, None at the end, and how many it was."""
    rows = await connection.fetch(_READ, org_id, after_id, PAGE_COUNT)
    cleared_count = 0
    for row in rows:
        original: bytes = row["original"]
        is_message = row["is_message"]
        left = _message(original, org_id, wanted) if is_message else _text(original, wanted)
        if left == original:
            continue
        cleared_count += 1
        if left is None:
            await connection.execute(_DELETE, row["dead_letter_id"])
        elif not is_message:
            await connection.execute(_WRITE, row["dead_letter_id"], left)
        elif not await connection.fetchval(
            _WRITE_MESSAGE, row["dead_letter_id"], left, hashlib.sha256(left).digest()
        ):
            await connection.execute(_DELETE, row["dead_letter_id"])
    return (rows[-1]["dead_letter_id"] if len(rows) == PAGE_COUNT else None), cleared_count


def _text(original: bytes, wanted: Wanted) -> bytes:
    pattern = wanted.pattern
    return original if pattern is None else pattern.sub(b"forgotten", original)


def _message(original: bytes, org_id: str, wanted: Wanted) -> bytes | None:
    """Return a message without the person; None if nothing is left of it."""
    try:
        items = envelope.decode(original)
    except envelope.UNREADABLE:
        return None if _says(original, wanted) else original
    if not any(_says(_plain(item), wanted) for item in items):
        return original
    kept = [left for item in items for left in _item(item, org_id, wanted)]
    return envelope.encode(kept) if kept else None


def _item(item: Item, org_id: str, wanted: Wanted) -> Iterator[Item]:
    """Yield what is left of a callout: all of another org's; nothing if it cannot be decoded."""
    text = _plain(item)
    if not _says(text, wanted):
        yield item
        return
    decoded = decode_item(item)
    if decoded.poison is not None:
        return
    orgs = {one.org_id for one in decoded.changes} | {long_id(one.org_id) for one in decoded.ranges}
    if orgs and org_id not in orgs:
        yield item
        return
    for change in decoded.changes:
        if change.record_id in wanted.record_ids or own_addresses(change) & wanted.addresses:
            continue
        left = alone(item, change)
        yield msgspec.structs.replace(left, body=_text(left.body, wanted))


def _plain(item: Item) -> bytes:
    try:
        return item.text()
    except GzipError:
        return item.body


def _says(text: bytes, wanted: Wanted) -> bool:
    pattern = wanted.pattern
    # Ids of 15 characters are the beginning of those of 18.
    return (pattern is not None and pattern.search(text) is not None) or any(
        record_id[:15].encode() in text for record_id in wanted.record_ids
    )
