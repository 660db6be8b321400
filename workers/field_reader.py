"""Reading of a record's JSON no more than the fields that rules read, and exactly those.

Rules match names without regard to case, and a field that is null is left out of a record. So
whatever is not there in a rule's own spelling may be there in another one: that is ruled out by a
search that may find too much, and then found out by reading all names.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec

from pipeline.json_text import decode_fields, mask

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.change import Fields, Value

# How JSON may spell a letter of a name; names of fields are ASCII.
_ESCAPED_LETTER: Final = rb"\u00"
# To look for so many names costs as much as to decode the records whole.
_MOST_LOOKED_FOR: Final = 12
_names: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(float_hook=Decimal)


class FieldReader:
    """Reads some fields of an object's records, `names` being as rules spell them.

    Rules make of what it returns what they make of the whole records. `with_old`: those of the
    names of which the value before a change matters.
    """

    def __init__(self, names: Collection[str], with_old: Collection[str]) -> None:
        self._names = tuple(sorted(set(names)))
        self._with_old = frozenset(with_old)
        self._lowered = frozenset(name.lower() for name in self._names)
        # As bytes in a record, in lower case, by name.
        self._quoted = {name: f'"{name.lower()}"'.encode() for name in self._names}
        # The other spelling under which records had a field, by its name in lower case.
        self._spellings: dict[str, str] = {}
        self._decoder = self._build()

    def _build(self) -> msgspec.json.Decoder[dict[str, Value]]:
        keys = {*self._names, *self._spellings.values()}
        # At run time it is whatever the rules read, which no checker can know.
        shape = TypedDict("Read", dict.fromkeys(keys, object), total=False)  # type: ignore[misc]
        return msgspec.json.Decoder(shape, float_hook=Decimal)

    def read(self, old: bytes | None, new: bytes | None) -> tuple[Fields | None, Fields | None]:
        """Return the fields of a change's old and new JSON, as Apex wrote them, digits kept.

        Raises:
            ValueError: not a JSON object.
            RecursionError: nested too deep.
        """
        try:
            return self._read(old, new)
        except (msgspec.DecodeError, ArithmeticError):
            # Half of a surrogate pair, or a number beyond all bounds.
            return _whole(old), _whole(new)

    def _read(self, old: bytes | None, new: bytes | None) -> tuple[Fields | None, Fields | None]:
        before = None if old is None else self._decoder.decode(old)
        after = None if new is None else self._decoder.decode(new)
        absent = [
            name
            for name in self._names
            if not (after and name in after) and not (before and name in before)
        ]
        if len(absent) > _MOST_LOOKED_FOR:
            return _whole(old), _whole(new)
        if absent and not (
            self._is_complete(new, after, absent)
            # Where no old value matters, another spelling in the old record leads to nothing.
            and self._is_complete(
                old, before, absent if new is None else self._with_old.intersection(absent)
            )
        ):
            return self._read_by_name(old), self._read_by_name(new)
        return before, after

    def _is_complete(
        self, text: bytes | None, found: Fields | None, absent: Collection[str]
    ) -> bool:
        """Tell whether what is absent in a rule's spelling is known not to be there in another."""
        if text is None or found is None or not absent:
            return True
        if b"\\" in text and _ESCAPED_LETTER in text:
            return False
        lowered = text.lower()
        for name in absent:
            quoted = self._quoted[name]
            if self._spellings.get(name.lower()) in found:
                if lowered.count(quoted) > 1:
                    return False
            elif quoted in lowered:
                return False
        return True

    def _read_by_name(self, text: bytes | None) -> Fields | None:
        if text is None:
            return None
        members = _names.decode(text)
        found: dict[str, Value] = {
            name: _value.decode(raw)
            for name, raw in members.items()
            if name.lower() in self._lowered
        }
        for name in found.keys() - {*self._names}:
            if name.lower() not in self._spellings:
                self._spellings[name.lower()] = name
                self._decoder = self._build()
        return found


def _whole(text: bytes | None) -> Fields | None:
    return None if text is None else decode_fields(mask(text))
