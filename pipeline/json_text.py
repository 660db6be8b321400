r"""JSON text that keeps every character, and a form of it that every parser and JSONB accept.

JSON may escape characters that no text column, JSONB value or strict decoder takes: NUL and
lone surrogates (half an emoji, cut off by a field's length limit). `mask` rewrites each such
escape `\uXXXX` as `\u001aXXXX`, and U+001A itself as `\u001a001a`; `unmask` gives the original
text back to the byte, `unmask_value` does the same to a decoded value. Text without such escapes,
which is nearly all, passes through untouched.

Source: PostgreSQL documentation, 8.14 "JSON Types" (JSONB refuses U+0000 and lone surrogates).
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pipeline.change import Value

MAX_DEPTH: Final = 100

# Half a surrogate pair, NUL or U+001A as an escape; or a whole pair, so that it can be passed over.
_SUSPECT: Final = re.compile(
    rb"\\u(?:[dD][89abAB][0-9a-fA-F]{2}\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(0000|001[aA]|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_MASKED: Final = re.compile(rb"\\(?:u001[aA]([0-9a-fA-F]{4})|.)", re.DOTALL)
_MASKED_CHARACTER: Final = re.compile("\x1a([0-9a-fA-F]{4})")
_UNSTORABLE: Final = re.compile("[\x00\x1a\ud800-\udfff]")
# Of escapes only these matter to where strings end.
_ESCAPED_END: Final = re.compile(rb'\\[\\"]')
_STRING: Final = re.compile(rb'"[^"]*"')
_NOT_SKELETON: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_ONE_KIND_OF_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_UTF8_PIECE_BYTES: Final = 65_536
_make_utf8_decoder: Final = codecs.getincrementaldecoder("utf-8")
_SUBSTITUTE: Final = 0x1A
_BACKSLASH: Final = ord("\\")
_ESCAPE_LENGTH: Final = len(b"\\u0000")
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


def mask(text: bytes) -> bytes:
    """Return JSON text in which no escape names NUL, a lone surrogate or a bare U+001A."""
    masked = bytearray()
    copied = 0
    for found in _SUSPECT.finditer(text):
        low, lone = found.groups()
        # Behind an odd number of backslashes the first `\\u` is text, and a pair is not one.
        if _is_escaped(text, found.start()) == (lone is not None):
            continue
        digits = lone or low
        start = found.end() - _ESCAPE_LENGTH
        masked += text[copied:start]
        if int(digits, 16) == _SUBSTITUTE:
            masked += text[start : found.end()] + b"001a"
        else:
            masked += b"\\u001a" + digits
        copied = found.end()
    return bytes(masked) + text[copied:] if copied else text


def _is_escaped(text: bytes, place: int) -> bool:
    run = 0
    while run < place and text[place - run - 1] == _BACKSLASH:
        run += 1
    return run % 2 == 1


def unmask(text: bytes) -> bytes:
    """Return the text that `mask` was given, to the byte."""
    return _MASKED.sub(_unmask_token, text) if b"\\u001" in text else text


def _unmask_token(token: re.Match[bytes]) -> bytes:
    digits = token[1]
    if digits is None:
        return token[0]
    # U+001A keeps its own escape, whose hex digit may be of either case.
    return token[0][:_ESCAPE_LENGTH] if int(digits, 16) == _SUBSTITUTE else b"\\u" + digits


def unmask_value(value: Value) -> Value:
    """Return a value decoded from masked text with its original characters."""
    if isinstance(value, str):
        return _unmask_string(value)
    if isinstance(value, list):
        return [unmask_value(item) for item in value]
    if isinstance(value, dict):
        return _unmask_members(value)
    return value


def _unmask_members(members: dict[str, Value]) -> dict[str, Value]:
    return {_unmask_string(key): unmask_value(value) for key, value in members.items()}


def _unmask_string(string: str) -> str:
    return _MASKED_CHARACTER.sub(lambda match: chr(int(match[1], 16)), string)


def require_utf8(text: bytes) -> None:
    """Check text piece by piece: decoded at once, one emoji makes four bytes of each character.

    Raises:
        UnicodeDecodeError: not UTF-8; says where.
    """
    if text.isascii():
        return
    decoder = _make_utf8_decoder()
    try:
        for start in range(0, len(text), _UTF8_PIECE_BYTES):
            decoder.decode(text[start : start + _UTF8_PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        # The place in the piece is not the place in the text.
        text.decode()


def decode_fields(text: bytes) -> dict[str, Value]:
    """Decode one masked JSON object; numbers keep every digit.

    Raises:
        ValueError: not a JSON object.
    """
    try:
        decoded = _decoder.decode(text)
    except (msgspec.DecodeError, ArithmeticError):
        # An integer beyond msgspec's bound, or a number beyond Decimal's: the standard library
        # has no such bounds when it keeps the text as Decimal.
        decoded = json.loads(
            text.decode(),
            parse_int=Decimal,
            parse_float=_decimal_or_text,
            parse_constant=_refuse_constant,
        )
        if not isinstance(decoded, dict):
            raise ValueError("not a JSON object") from None  # noqa: TRY004  bad input, not a bug
    fields: dict[str, Value] = decoded  # type: ignore[assignment]  # JSON decodes to Value
    return _unmask_members(fields) if b"\\u001" in text else fields


def _decimal_or_text(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except ArithmeticError:
        return digits


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def encode_masked(value: object) -> str:
    """Encode a value whose strings may hold anything as masked JSON text, digits kept."""
    return _encoder.encode(_mask_value(value)).decode()


def _mask_value(value: object) -> object:
    if isinstance(value, str):
        return _UNSTORABLE.sub(lambda match: f"\x1a{ord(match[0]):04x}", value)
    if isinstance(value, list | tuple):
        return [_mask_value(item) for item in value]
    if isinstance(value, dict):
        return {_mask_value(key): _mask_value(item) for key, item in value.items()}
    return value


def is_too_deep(text: bytes, *, around: int = 0) -> bool:
    """Tell whether JSON text nests arrays and objects more than `MAX_DEPTH` levels deep.

    `around`: the levels that it stands in itself. Few brackets cannot. Runs in C: what is left of
    the text is its quotes and brackets, then its brackets, and each round removes the innermost
    level. Text that is no JSON is left for the decoder to refuse.
    """
    most = MAX_DEPTH - around
    if text.count(b"{") + text.count(b"[") <= most:
        return False
    if b"\\" in text:
        text = _ESCAPED_END.sub(b"", text)
    skeleton = text.translate(_ONE_KIND_OF_BRACKET, _NOT_SKELETON)
    brackets = skeleton.replace(b'""', b"")
    if b'"' in brackets:
        # Some string has brackets in it: pair the quotes properly.
        brackets = _STRING.sub(b"", skeleton)
    if b"[" * (most + 1) in brackets:
        return True
    for _ in range(most):
        size = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == size:
            return False
    return bool(brackets)
