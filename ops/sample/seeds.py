"""Seeded randomness and what is drawn from it: record ids, capture ids, transaction ids."""

from __future__ import annotations

import random
import string
from typing import Final
from uuid import UUID

from pipeline.objects import SObject, long_id

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_REQUEST_DIGITS: Final = string.ascii_letters + string.digits + "_-"
_SERIAL_LENGTH: Final = 9
# Leaves room above every start, so that serials never wrap.
_LAST_START: Final = len(_DIGITS) ** (_SERIAL_LENGTH - 1)

KEY_PREFIXES: Final = {
    SObject.ACCOUNT: "001",
    SObject.CONTACT: "003",
    SObject.EVENT: "00U",
    SObject.LEAD: "00Q",
    SObject.OPPORTUNITY: "006",
    SObject.TASK: "00T",
    SObject.USER: "005",
}
_OBJECTS: Final = {prefix: sobject for sobject, prefix in KEY_PREFIXES.items()}


def random_stream(*parts: object) -> random.Random:
    """Return a generator that depends on the text of `parts` alone, on every platform.

    Different parts give independent streams, so that drawing more in one place moves no other.
    """
    seed = "/".join(map(str, parts))
    return random.Random(seed)  # noqa: S311  sample records must repeat, they protect nothing


def object_of(record_id: str) -> SObject:
    """Return the object that a record id's key prefix names.

    Raises:
        KeyError: the prefix belongs to none of the seven objects.
    """
    return _OBJECTS[record_id[:3]]


def capture_id(stream: random.Random) -> str:
    """Draw a version 4 UUID, as Apex code makes one from `Crypto.generateAesKey`."""
    return str(UUID(int=stream.getrandbits(128), version=4))


def transaction_id(stream: random.Random) -> str:
    """Draw 15 characters in the form of `Request.getCurrent().getRequestId()`."""
    return "4" + "".join(stream.choices(_REQUEST_DIGITS, k=13)) + "-"


class RecordIds:
    """Serial record ids of one org, one series an object, each from a start of its own.

    An id is the key prefix, the two characters of the org's instance, a reserved 0, a serial of
    nine base-62 digits and the checksum suffix.
    """

    def __init__(self, org_id: str, stream: random.Random) -> None:
        self._instance = org_id[3:5]
        self._serials = {sobject: stream.randrange(_LAST_START) for sobject in SObject}

    def draw(self, sobject: SObject) -> str:
        """Return the next 18-character id of `sobject`."""
        self._serials[sobject] += 1
        return self.form(KEY_PREFIXES[sobject], self._serials[sobject])

    def form(self, key_prefix: str, serial: int) -> str:
        """Return the id with this prefix and serial, for objects that Penstock does not carry."""
        digits = ""
        for _ in range(_SERIAL_LENGTH):
            serial, digit = divmod(serial, len(_DIGITS))
            digits = _DIGITS[digit] + digits
        return long_id(f"{key_prefix}{self._instance}0{digits}")
