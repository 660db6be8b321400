"""Documents that are almost the contract's: written from the types that ingest itself checks by.

Whatever a type asks for is written rightly most of the time; where it is not, stands something that
breaks parsers. All of it is JSON text rather than values, so that it may be what no encoder writes.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Final, assert_never, cast

import msgspec
from msgspec import inspect

from ingest.connection import HandshakeRequest
from ingest.heartbeats import Heartbeat
from pipeline.audit import AuditRange
from pipeline.callout import CheckedCallout
from pipeline.objects import Operation
from tests.fuzzing.choices import one_of, seldom
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.fuzzing.choices import Choices

# Stands in every record, and may stand in no answer.
MARK: Final = "do-not-echo-me"

# What the last part of a route's address takes.
MESSAGES: Final[Mapping[str, type]] = {
    "changes": CheckedCallout,
    "audit": AuditRange,
    "heartbeat": Heartbeat,
    "handshake": HandshakeRequest,
}
_FIELDS: Final = {
    route: cast("inspect.StructType", inspect.type_info(struct)).fields
    for route, struct in MESSAGES.items()
}

# Texts for the contract's patterns, of which the first that fits is the plain one.
_TEXTS: Final = (LEAD_ID, "capture-1", "https://example.my.salesforce.com", "1.0")
_IDS: Final = (LEAD_ID, "00Q5g00000HotLd", "00Q5g00000WarmLEAJ", "00q5g00000hotldeaj", "0" * 15)

# As an escape, each stands in a string as it is written here.
CHARACTERS: Final = (
    r"\u0000", r"\u001a", r"\u001A001a", r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\udfff\ud800",
    r"\\u0000", r"\\\u001a0000", "\x7f", "\u2028", "\ufeff", "\uffff", "\U0010ffff", "\U0001f600",
    "é", r"\/", r"\b", "\u202e", "'", "%00", "&#0;", "$$", "{}[]", r"\"", "x" * 5000,
)  # fmt: skip
NUMBERS: Final = (
    "0", "-0", "-0.0", "1e2", "1E+400", "1e-400", "9" * 400, "0." + "1" * 400, "-" + "7" * 5000,
    "1e99999999999999999999", "9223372036854775808", "-9223372036854775809", "1.10", "0e0",
    "18446744073709551616", "9007199254740993", "1e131072", "1e-16384", "123456789.987654321e-10",
)  # fmt: skip
# A document of a hundred is taken; a record stands at its fourth.
_LEVELS: Final = (1, 2, 3, 60, 90, 94, 3, 95, 96, 97, 1, 98, 400)
# No JSON, however lenient a reader is.
NOT_JSON: Final = (
    "NaN", "-Infinity", "01", "+1", ".5", "1.", "0x1", "'a'", "undefined", '"\t"', '"\\x41"',
    '"\\u12"', '"', "", ",", "[1,]", '{"a":1,}', "{a:1}", "/**/1", "1 2", "tru", "\x00", '"\x00"',
)  # fmt: skip


def document(choices: Choices, route: str) -> bytes:
    """Return a document for a route, right or almost right."""
    text = _message(choices, route)
    return _spoilt(choices, text.encode("utf-8", "surrogatepass"))


def right_document(route: str) -> bytes:
    """Return the plainest document of a route."""

    class Plain:
        def number(self, _: int) -> int:
            return 0

        def rest(self) -> bytes:
            return b""

    return document(Plain(), route)


def any_value(choices: Choices, depth: int = 0) -> str:
    """Return any JSON value."""
    match choices.number(8 if depth < 3 else 5):
        case 0:
            return json.dumps(MARK)
        case 1:
            return string(choices)
        case 2:
            return one_of(choices, NUMBERS)
        case 3:
            return one_of(choices, ("null", "true", "false", "{}", "[]", '""'))
        case 4:
            levels = one_of(choices, _LEVELS)
            return "[" * levels + "]" * levels
        case 5:
            return f"[{_joined(choices, [any_value(choices, depth + 1)] * choices.number(4))}]"
        case 6:
            members = [
                f"{string(choices)}:{any_value(choices, depth + 1)}"
                for _ in range(choices.number(4))
            ]
            return f"{{{_joined(choices, members)}}}"
        case _:
            levels = one_of(choices, _LEVELS)
            return '{"a":' * levels + "1" + "}" * levels


def string(choices: Choices) -> str:
    """Return a JSON string of characters that break programs."""
    pieces = [one_of(choices, CHARACTERS) for _ in range(choices.number(6))]
    return f'"{"".join(pieces)}"'


def _message(choices: Choices, route: str) -> str:
    operation = one_of(choices, (Operation.UPDATE, *Operation))
    members: list[str] = []
    for field in _FIELDS[route]:
        if not field.required and not choices.number(3) and field.encode_name != "read_at":
            continue
        if seldom(choices, 64):
            continue
        name = json.dumps(field.encode_name)
        if seldom(choices, 64):
            name = one_of(
                choices,
                (name.upper(), name.replace("e", "\\u0065"), string(choices), f'" {name[1:]}'),
            )
        match field.encode_name:
            case "operation":
                value = json.dumps(operation)
            case "changes":
                value = _changes(choices, operation)
            case "records":
                value = _records(choices)
            case "org_id":
                value = json.dumps(one_of(choices, (*[ORG_ID] * 20, ORG_ID[:15], LEAD_ID)))
            case "user_id":
                value = json.dumps(one_of(choices, (SYNC_USER_ID, SYNC_USER_ID[:15], LEAD_ID)))
            case "after_id" | "to_id":
                value = "null"
            case _:
                value = _value(choices, field.type)
        if seldom(choices, 48):
            value = one_of(choices, (any_value(choices), one_of(choices, NOT_JSON)))
        members.append(f"{name}:{value}")
        if seldom(choices, 64):
            members.append(f"{name}:{any_value(choices)}")
    if seldom(choices):
        members.append(f"{string(choices)}:{any_value(choices)}")
    return f"{{{_joined(choices, members)}}}"


def _value(choices: Choices, wanted: inspect.Type) -> str:
    """Return what a type asks for, at its bounds, and now and then just beyond them."""
    is_right = not seldom(choices, 96)
    match wanted:
        case inspect.IntType(ge=int(least), le=int(most)):
            if is_right:
                return str(one_of(choices, (max(least, min(now_ms(), most)), least, most)))
            return one_of(choices, (str(least - 1), str(most + 1), "1.5", "1e3", "-0"))
        case inspect.StrType(pattern=str(pattern)):
            matching = [one for one in _TEXTS if re.search(pattern, one)]
            return json.dumps(matching[0]) if is_right else string(choices)
        case inspect.LiteralType(values=values):
            return json.dumps(one_of(choices, values)) if is_right else "2"
        case inspect.EnumType(cls=enumeration):
            name = one_of(choices, [str(member.value) for member in enumeration])
            return json.dumps(name if is_right else name.swapcase())
        case inspect.UnionType(types=types):
            return _value(choices, one_of(choices, types))
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return one_of(choices, ("false", "true") if is_right else ("0", '"true"'))
        case inspect.ListType(item_type=item):
            items = [_value(choices, item) for _ in range(choices.number(4))]
            return f"[{_joined(choices, items)}]"
        case _:
            raise NotImplementedError(wanted)


def _changes(choices: Choices, operation: Operation) -> str:
    changes: list[str] = []
    for _ in range(one_of(choices, (1, 1, 1, 0, 2, 3, 30))):
        record_id = one_of(choices, (*[_IDS[0]] * 8, *_IDS))
        old, new = _record(choices, record_id), _record(choices, record_id)
        match operation:
            case Operation.UPDATE:
                sides = {"old": old, "new": new}
            case Operation.DELETE:
                sides = {"old": old}
            case Operation.INSERT | Operation.UNDELETE | Operation.SNAPSHOT:
                sides = {"new": new}
            case _:
                assert_never(operation)
        if seldom(choices, 64):
            sides = one_of(choices, ({}, {"old": "null", "new": new}, {"old": old, "new": old}))
        members = [f'"{side}":{text}' for side, text in sides.items()]
        changes.append(f"{{{_joined(choices, members)}}}")
    return f"[{_joined(choices, changes)}]"


def _record(choices: Choices, record_id: str) -> str:
    members = [f'"Id":"{record_id}"', f'"LastName":"{MARK}"']
    for _ in range(choices.number(4)):
        name = one_of(choices, ('"Email"', '"SystemModstamp"', '"OwnerId"', string(choices)))
        members.append(f"{name}:{any_value(choices)}")
    if seldom(choices, 64):
        members[0] = f'"Id":{one_of(choices, (any_value(choices), string(choices)))}'
    if seldom(choices, 64):
        members.append(f'"Id":"{_IDS[1]}"')
    if seldom(choices, 64):
        members.append(one_of(choices, NOT_JSON))
    return f"{{{_joined(choices, members)}}}"


def _records(choices: Choices) -> str:
    ids = sorted({one_of(choices, _IDS) for _ in range(choices.number(4))})
    if seldom(choices):
        ids.reverse()
    return f"[{_joined(choices, [f'[{json.dumps(one)},{now_ms()}]' for one in ids])}]"


def _joined(choices: Choices, members: Sequence[str]) -> str:
    return one_of(choices, (",", ",", ",", " ,\n\t", ",\r")).join(members)


def _spoilt(choices: Choices, text: bytes) -> bytes:
    """Return a text, now and then as no reader of UTF-8 and JSON takes it."""
    if not seldom(choices, 24):
        return text
    place = choices.number(max(1, min(len(text), 65_536)))
    match choices.number(9):
        case 0:
            return b"\xef\xbb\xbf" + text
        case 1:
            return text[:place]
        case 2:
            after = (text, b"\x00", b"}", b"  \n", b"\xff", b" " * 10_000)
            return text + one_of(choices, after)
        case 3:
            # Nowhere in UTF-8; overlong; half a surrogate pair; beyond Unicode; cut off.
            bad = (
                b"\xff",
                b"\xc0\x80",
                b"\xe0\x80\xaf",
                b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80",
                b"\xc3",
            )
            return text[:place] + one_of(choices, bad) + text[place:]
        case 4:
            return text.decode("utf-8", "replace").encode(one_of(choices, ("utf-16", "utf-32-le")))
        case 5:
            return text[:place] + choices.rest() + text[place:]
        case 6:
            return choices.rest()
        case 7:
            return b" \t\r\n" * 500 + text
        case _:
            return text[:place] + text[place + 1 :]


def now_ms() -> int:
    """Return this machine's clock in Unix ms."""
    return time.time_ns() // 1_000_000


def read(text: bytes) -> Any:  # noqa: ANN401  any JSON document
    """Decode what was accepted, by another reader than ingest's."""
    return msgspec.json.decode(text) if b"\\u" not in text else json.loads(text)
