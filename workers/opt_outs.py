"""Who asked not to be mailed, or cannot be, by the newest state of each lead and contact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline import json_text
from pipeline.errors import PermanentError, Reason
from pipeline.objects import SObject
from rules.recipient import address_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection
    from workers.received import ReceivedChange

# Nearly no record says either, so it is looked for in the text before anything is decoded.
_SAYINGS: Final = (
    (b'"HasOptedOutOfEmail"', re.compile(rb"\s*:\s*true")),
    (b'"EmailBouncedDate"', re.compile(rb'\s*:\s*"')),
)
# A person account's own fields.
_SAYINGS_OF_AN_ACCOUNT: Final = (
    (b'"PersonHasOptedOutOfEmail"', re.compile(rb"\s*:\s*true")),
    (b'"PersonEmailBouncedDate"', re.compile(rb'\s*:\s*"')),
)
_BY_OBJECT: Final = {
    SObject.LEAD: _SAYINGS,
    SObject.CONTACT: _SAYINGS,
    SObject.ACCOUNT: _SAYINGS_OF_AN_ACCOUNT,
}

# The last writer wins, whatever the order of arrival.
_UPSERT: Final = """
    INSERT INTO opt_out AS stored (org_id, record_id, address, opted_out, bounced, captured_at,
                                   sequence, capture_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::boolean[],
                         $6::bigint[], $7::integer[], $8::text[])
    ON CONFLICT (org_id, record_id) DO UPDATE
    SET address = excluded.address, opted_out = excluded.opted_out, bounced = excluded.bounced,
        captured_at = excluded.captured_at, sequence = excluded.sequence,
        capture_id = excluded.capture_id
    WHERE (stored.captured_at, stored.sequence, stored.capture_id)
        < (excluded.captured_at, excluded.sequence, excluded.capture_id)"""


class _Consent(msgspec.Struct, frozen=True):
    """The fields that decide, of whatever type they are."""

    Email: Any = None
    HasOptedOutOfEmail: Any = None
    EmailBouncedDate: Any = None
    PersonEmail: Any = None
    PersonHasOptedOutOfEmail: Any = None
    PersonEmailBouncedDate: Any = None


_consent: Final = msgspec.json.Decoder(_Consent)


async def keep_opt_outs(connection: Connection, new: Sequence[ReceivedChange]) -> None:
    """Keep what leads and contacts say of mail, of those that say or said anything.

    The row of one who takes it back says so; the row of a deleted record stays as it was.

    Raises:
        PermanentError: a record cannot be decoded.
    """
    newest: dict[tuple[str, str], ReceivedChange] = {}
    for change in new:
        record = (change.org_id, change.record_id)
        if _concerns_mail(change) and (record not in newest or newest[record].order < change.order):
            newest[record] = change
    # Rows are locked in the order of their key: batches that overlap cannot deadlock.
    rows = [_row(newest[record]) for record in sorted(newest)]
    if rows:
        await connection.execute(_UPSERT, *map(list, zip(*rows, strict=True)))


def _concerns_mail(change: ReceivedChange) -> bool:
    sayings = _BY_OBJECT.get(change.object, ())
    return bool(sayings) and any(
        _says_so(side, sayings) for side in (change.new, change.old) if side is not None
    )


def _says_so(text: bytes, sayings: tuple[tuple[bytes, re.Pattern[bytes]], ...]) -> bool:
    """Tell whether a record's text may say either; to find a name costs a tenth of a pattern."""
    for name, said in sayings:
        found = text.find(name)
        while found >= 0:
            if said.match(text, found + len(name)):
                return True
            found = text.find(name, found + 1)
    return False


def _row(change: ReceivedChange) -> tuple[object, ...]:
    consent = _decode(change.state)
    address = address_of(json_text.unmask_value(consent.Email or consent.PersonEmail))
    opted_out = consent.HasOptedOutOfEmail is True or consent.PersonHasOptedOutOfEmail is True
    dates = (consent.EmailBouncedDate, consent.PersonEmailBouncedDate)
    bounced = any(date not in (None, "") for date in dates)
    return (change.org_id, change.record_id, address, opted_out, bounced, *change.order)


def _decode(text: bytes) -> _Consent:
    try:
        return _consent.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PermanentError(
            Reason.INVALID_RECORD, f"the record cannot be read: {error}"
        ) from error
