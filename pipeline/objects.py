"""The Salesforce objects and operations that Penstock carries: closed enumerations."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_ID: Final = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?")
_SUFFIX_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT_LENGTH: Final = 15


class SObject(StrEnum):
    """The objects whose triggers the Apex package installs."""

    ACCOUNT = "Account"
    CONTACT = "Contact"
    EVENT = "Event"
    LEAD = "Lead"
    OPPORTUNITY = "Opportunity"
    TASK = "Task"
    USER = "User"


# What ids of an object begin with, in every org (Salesforce Help, "Standard Field Record ID
# Prefix Decoder").
KEY_PREFIXES: Final = {
    SObject.ACCOUNT: "001",
    SObject.CONTACT: "003",
    SObject.EVENT: "00U",
    SObject.LEAD: "00Q",
    SObject.OPPORTUNITY: "006",
    SObject.TASK: "00T",
    SObject.USER: "005",
}


class Operation(StrEnum):
    """What the trigger saw happen to the records of one callout.

    A snapshot saw nothing happen: it tells the records as they were when they were read.
    """

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    UNDELETE = "undelete"
    SNAPSHOT = "snapshot"


def is_salesforce_id(text: str) -> bool:
    """Tell whether `text` has the form of a record id: 15 or 18 letters and digits."""
    return _ID.fullmatch(text) is not None


def long_id(record_id: str) -> str:
    """Return the 18-character form of a 15- or 18-character id.

    The three added characters are a bit map of the capitals in each group of five, so that ids
    stay distinct where case is lost. An 18-character id is returned as it is.

    Source: Salesforce Help, "Converting 15 character Id to 18 characters".
    """
    if len(record_id) != _SHORT_LENGTH:
        return record_id
    suffix = ""
    for group in (record_id[0:5], record_id[5:10], record_id[10:15]):
        bits = sum(1 << place for place, char in enumerate(group) if "A" <= char <= "Z")
        suffix += _SUFFIX_ALPHABET[bits]
    return record_id + suffix
