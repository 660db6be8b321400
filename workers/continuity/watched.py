"""Which fields of a record's chain count: those that its org's conditions name.

Others change without a callout, so that a difference says nothing. A field counts from when it came
to be watched: what it was before that, nobody had to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from pipeline import json_text
from workers.continuity.values import SYSTEM_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncpg import Record

    from pipeline.database import Connection
    from pipeline.objects import SObject

    # Conditions as orgs have them: the fields by object; an empty list is every field.
    Conditions = dict[str, list[str]]

_READ_EPOCH: Final = "SELECT epoch FROM rule_epoch"
# So many versions of the conditions are looked at, the newest first, to see since when a field is
# watched: one that is in all of them counts from the oldest.
_SPAN_COUNT: Final = 20
_READ_SPANS: Final = """
    SELECT org.org_id, span.conditions::text,
           (extract(epoch FROM span.since) * 1000)::bigint AS since
    FROM org CROSS JOIN LATERAL (
        SELECT conditions, since FROM conditions_span
        WHERE conditions_span.org_id = org.org_id
        ORDER BY conditions_version DESC LIMIT $1) AS span
    ORDER BY org.org_id, span.since DESC"""
_READ_CALCULATED: Final = """
    SELECT org_id, object, field ->> 'name' AS name
    FROM described_object CROSS JOIN jsonb_array_elements(fields) AS field
    WHERE field ->> 'calculated' = 'true'"""
# Records that are looked at to learn how they spell the fields.
_LOOKS: Final = 1000

_conditions: Final = msgspec.json.Decoder(dict[str, list[str]])
_encoder: Final = msgspec.json.Encoder()
# What a field is that a record has not.
_NULL: Final = msgspec.Raw(b"null")
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class WatchedFields:
    """The fields of one object of one org that count. Names are told apart without regard to case.

    `since`: the Unix ms from which each counts, by name; None if all fields do, from `all_since`.
    """

    def __init__(
        self, since: Mapping[str, int] | None, all_since: int, calculated: Iterable[str]
    ) -> None:
        self._excluded_names = (*SYSTEM_FIELDS, *calculated)
        self._excluded = frozenset(name.casefold() for name in self._excluded_names)
        self._all_since = all_since
        self._since: dict[str, int] | None = None
        self._spelt: dict[str, str] = {}
        if since is not None:
            spelt = {name.casefold(): name for name in since if name.isidentifier()}
            self._spelt = {low: name for low, name in spelt.items() if low not in self._excluded}
            self._since = {low: since[name] for low, name in self._spelt.items()}
        self._unseen = set(self._spelt)
        self._looks_left = _LOOKS
        self._decoder = self._decoder_of_listed()

    def counts(self, name: str, stored_at: int) -> bool:
        """Tell whether a field counts against a state of `stored_at`, Unix ms."""
        low = name.casefold()
        if self._since is None:
            return low not in self._excluded and self._all_since <= stored_at
        return self._since.get(low, stored_at + 1) <= stored_at

    def digest(self, text: bytes) -> int | None:
        """Return a digest of a record's fields that may count; None if it cannot be read.

        Equal ones mean equal fields, but for a chance of one in 2^32; others, that it is worth a
        closer look.
        """
        try:
            if self._since is not None:
                return crc32(_encoder.encode(self._decoder.decode(text)))
            members = _members.decode(text)
        except (msgspec.DecodeError, RecursionError):
            # Whoever evaluates the change says what is wrong with it.
            return None
        for name in self._excluded_names:
            members.pop(name, None)
        return crc32(_encoder.encode(members))

    def learn(self, text: bytes) -> None:
        """Learn from a record how fields are spelt that no record has shown yet.

        A rule's author may write `status`, but to read `Status` out of JSON takes its own spelling.
        """
        if not self._unseen or not self._looks_left:
            return
        self._looks_left -= 1
        try:
            seen = {name.casefold(): name for name in _members.decode(text)}
        except (msgspec.DecodeError, RecursionError):
            # Whoever evaluates the change says what is wrong with it.
            return
        found = self._unseen & seen.keys()
        self._unseen -= found
        if any(self._spelt[low] != seen[low] for low in found):
            self._spelt |= {low: seen[low] for low in found}
            self._decoder = self._decoder_of_listed()

    def _decoder_of_listed(self) -> msgspec.json.Decoder[msgspec.Struct]:
        # A decoder that knows what it looks for passes over the rest without making anything of it.
        rename = {f"f{place}": name for place, name in enumerate(self._spelt.values())}
        fields = [(attribute, msgspec.Raw, _NULL) for attribute in rename]
        listed = msgspec.defstruct("Listed", fields, rename=rename, omit_defaults=True, gc=False)
        return msgspec.json.Decoder(listed)


class WatchedByOrg:
    """The fields that count in each org, at one epoch; read again when a transaction sees another.

    Not to be shared by tasks: it turns while they wait.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._spans: dict[str, list[tuple[int, Conditions]]] = {}
        self._calculated: dict[tuple[str, str], list[str]] = {}
        self._fields: dict[tuple[str, SObject], WatchedFields] = {}

    async def turn_to(self, epoch: int, connection: Connection) -> None:
        """Hold what was watched at `epoch` or later."""
        if epoch == self._epoch:
            return
        held = await connection.fetchval(_READ_EPOCH)
        spans: dict[str, list[tuple[int, Conditions]]] = {}
        for row in await connection.fetch(_READ_SPANS, _SPAN_COUNT):
            conditions = _conditions.decode(row["conditions"])
            spans.setdefault(row["org_id"], []).append((row["since"], conditions))
        calculated: dict[tuple[str, str], list[str]] = {}
        for row in await connection.fetch(_READ_CALCULATED):
            calculated.setdefault((row["org_id"], row["object"]), []).append(_name(row))
        if (spans, calculated) != (self._spans, self._calculated):
            self._spans, self._calculated, self._fields = spans, calculated, {}
        self._epoch = held

    def of(self, org_id: str, sobject: SObject) -> WatchedFields:
        """Return the fields of an org's object that count."""
        key = (org_id, sobject)
        if key not in self._fields:
            since, all_since = since_when(self._spans.get(org_id, ()), sobject)
            self._fields[key] = WatchedFields(since, all_since, self._calculated.get(key, ()))
        return self._fields[key]


def since_when(
    spans: Sequence[tuple[int, Conditions]], sobject: SObject
) -> tuple[dict[str, int] | None, int]:
    """Return since when (Unix ms) fields are watched without a break, given spans newest first.

    The fields by their names; or None, if all are, and since when that is so. An org of which
    nothing is known watches nothing.
    """
    if not spans:
        return {}, 0
    now = _listed(spans[0][1], sobject)
    if now is None:
        all_since = spans[0][0]
        for since, conditions in spans:
            if _listed(conditions, sobject) is not None:
                break
            all_since = since
        return None, all_since
    found = dict.fromkeys(now, spans[0][0])
    lasting = set(now)
    for since, conditions in spans[1:]:
        listed = _listed(conditions, sobject)
        if listed is not None:
            before = {name.casefold() for name in listed}
            lasting = {name for name in lasting if name.casefold() in before}
        found |= dict.fromkeys(lasting, since)
    return found, 0


def _listed(conditions: Conditions, sobject: SObject) -> list[str] | None:
    """Return the fields that conditions name; None where every field is watched."""
    listed = conditions.get(sobject.value)
    # Without any conditions Salesforce tells of every field.
    return None if not conditions or listed == [] else listed or []


def _name(row: Record) -> str:
    return str(json_text.unmask_value(row["name"]))
