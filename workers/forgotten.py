"""People who were forgotten: what still comes of them is dropped, whenever and however it comes.

What is held of tombstones is of an epoch, as rules are. A transaction sees the epoch after its
first write gave it an id (0004_lookups.sql), so that one that may have missed a tombstone began
before any that the erasure draws afterwards, and the erasure waits for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline import envelope, json_text
from pipeline.errors import TransientError
from pipeline.objects import SObject, long_id
from rules.recipient import address_of
from workers.received import decode_item
from workers.relay.addresses import canonical_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.database import Connection
    from pipeline.envelope import Item
    from workers.history import ChangeKey
    from workers.received import ReceivedChange

# Whose `Email` (of a person account: `PersonEmail`) is the person's own.
PEOPLE: Final = frozenset({SObject.LEAD, SObject.CONTACT, SObject.ACCOUNT, SObject.USER})
# What is with a person goes with the person.
_WITH_PEOPLE: Final = frozenset({SObject.TASK, SObject.EVENT})
_WHO: Final = re.compile(rb'"WhoId"\s*:\s*"([0-9A-Za-z]{15,18})"')
_EMAIL: Final = re.compile(rb'"(?:Person)?Email"\s*:\s*("(?:[^"\\]|\\.)*")')

_DRAW_ID: Final = "SELECT pg_current_xact_id()"
_READ_EPOCH: Final = "SELECT epoch FROM rule_epoch"
# Of each org that has any: until when addresses are forgotten, and whether one is for ever.
_READ_ORGS: Final = """
    SELECT org_id, coalesce(max(until), 0) AS until,
           bool_or(until IS NULL AND mark LIKE 'address:%') AS is_blocking
    FROM tombstone GROUP BY org_id"""
_FIND: Final = """
    SELECT DISTINCT place
    FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::text[])
        AS given (place, org_id, record_id, captured_at, address)
    WHERE EXISTS (SELECT FROM tombstone
                  WHERE tombstone.org_id = given.org_id AND mark = record_id)
       OR address IS NOT NULL AND EXISTS (
            SELECT FROM tombstone
            WHERE tombstone.org_id = given.org_id
              AND mark = penstock_address_mark(given.org_id, address)
              AND (until IS NULL OR captured_at <= until))"""


class ForgottenMeanwhile(TransientError):
    """Somebody in the batch was forgotten while it was under way; nothing of it was committed."""


class _Org(NamedTuple):
    until: int
    is_blocking: bool


class Sifted(NamedTuple):
    """The keys of what is to be dropped, and the epoch of the tombstones that say so."""

    keys: frozenset[ChangeKey]
    epoch: int | None


class Forgotten:
    """Tells which changes of a batch are of people who were forgotten.

    One query a batch, and only if an org in it has tombstones.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._orgs: dict[str, _Org] = {}

    async def among(self, connection: Connection, batch: Sequence[ReceivedChange]) -> Sifted:
        """Return what is to be dropped."""
        if self._epoch is None:
            await self._read(connection)
        # Another task may read on meanwhile.
        epoch = self._epoch
        rows = [
            (place, change.org_id, record_id, change.captured_at, address)
            for place, change in enumerate(batch)
            if (org := self._orgs.get(change.org_id)) is not None
            for record_id, address in _asked(change, org)
        ]
        if not rows:
            return Sifted(frozenset(), epoch)
        found = await connection.fetch(_FIND, *map(list, zip(*rows, strict=True)))
        return Sifted(frozenset(batch[row["place"]].key for row in found), epoch)

    async def recheck(
        self, connection: Connection, epoch: int, batch: Sequence[ReceivedChange], sifted: Sifted
    ) -> None:
        """Look again at what was written by `epoch`, if tombstones may have come since `sifted`.

        Raises:
            ForgottenMeanwhile: some of it is to be dropped.
        """
        if epoch == sifted.epoch:
            return
        await self._read(connection)
        if (await self.among(connection, batch)).keys:
            raise ForgottenMeanwhile

    async def now_among(
        self, connection: Connection, changes: Sequence[ReceivedChange]
    ) -> frozenset[ChangeKey]:
        """Return what is to be dropped by the tombstones that stand now: of what has no epoch.

        A dead letter is written whether anything new is or not. To be called in a transaction.
        """
        # It has its id before it looks: an erasure waits for it, or it sees the tombstone.
        await connection.execute(_DRAW_ID)
        await self._read(connection)
        return (await self.among(connection, changes)).keys

    async def _read(self, connection: Connection) -> None:
        # In this order: what is newer than the epoch is read once more with the next one.
        epoch = await connection.fetchval(_READ_EPOCH)
        rows = await connection.fetch(_READ_ORGS)
        self._orgs = {row["org_id"]: _Org(row["until"], row["is_blocking"]) for row in rows}
        self._epoch = epoch


async def without_forgotten(connection: Connection, message: bytes) -> bytes | None:
    """Return a dead message without what is of people who were forgotten; None if that is all.

    To be called in a transaction. A callout that cannot be decoded stays as it is.
    """
    try:
        items = envelope.decode(message)
    except envelope.UNREADABLE:
        return message
    decoded = [(item, decode_item(item)) for item in items]
    changes = [change for _, one in decoded for change in one.changes]
    keys = await Forgotten().now_among(connection, changes)
    if not keys:
        return message
    kept: list[envelope.Item] = []
    for item, one in decoded:
        if one.poison is not None or not any(change.key in keys for change in one.changes):
            kept.append(item)
        else:
            kept += [alone(item, change) for change in one.changes if change.key not in keys]
    return envelope.encode(kept) if kept else None


def alone(item: Item, change: ReceivedChange) -> Item:
    """Return a callout of one change out of an item's."""
    body = json_text.mask(change.as_callout())
    return envelope.Item(item.callout_id, item.received_at, item.masked, body)


def own_addresses(change: ReceivedChange) -> set[str]:
    """Return the addresses that a change tells of its record, before or after, in every form."""
    if change.object not in PEOPLE:
        return set()
    found: set[str] = set()
    for side in (change.old, change.new):
        for text in _EMAIL.findall(side or b""):
            try:
                value = json_text.unmask_value(msgspec.json.decode(text))
            except msgspec.DecodeError:
                continue
            if (address := address_of(value)) is not None:
                found |= {address, canonical_address(address)}
    return found


def _asked(change: ReceivedChange, org: _Org) -> Iterator[tuple[str, str | None]]:
    """Yield the records and addresses that have to be looked for."""
    yield change.record_id, None
    if change.object in _WITH_PEOPLE:
        for side in (change.old, change.new):
            for who_id in _WHO.findall(side or b""):
                yield long_id(who_id.decode()), None
    if org.is_blocking or change.captured_at <= org.until:
        for address in own_addresses(change):
            yield change.record_id, address
