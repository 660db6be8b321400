r"""JSON text that keeps every character, and a form of it that every parser and JSONB accept.

JSON may escape characters that no text column, JSONB value or strict decoder takes: NUL and
lone surrogates (half an emoji, cut off by a field's length limit). `mask` rewrites each such
escape `\uXXXX` as `\u001aXXXX`, and U+001A itself as `\u001a001a`; `unmask` gives the original
text back to the byte, `unmask_value` does the same to a decoded value. Text without such escapes,
which is nearly all, passes through untouched.

Source: PostgreSQL documentation, 8.14 "JSON Types" (JSONB refuses U+0000 and lone surrogates).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pipeline.change import Value

MAX_DEPTH: Final = 100
# Each round peels at least one level off a document without brackets in its strings.
_QUICK_ROUNDS: Final = 12

_SUSPECT: Final = re.compile(rb"\\u(?:0000|001[aA]|[dD][89a-fA-F])")
_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_MASKED: Final = re.compile(rb"\\(?:u001[aA]([0-9a-fA-F]{4})|.)", re.DOTALL)
_MASKED_CHARACTER: Final = re.compile("\x1a([0-9a-fA-F]{4})")
_UNSTORABLE: Final = re.compile("[\x00\x1a\ud800-\udfff]")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_SKELETON: Final = bytes(byte for byte in range(256) if byte not in b'"\\[]{}')
_SUBSTITUTE: Final = 0x1A
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


def mask(text: bytes) -> bytes:
    """Return JSON text in which no escape names NUL, a lone surrogate or a bare U+001A."""
    if _SUSPECT.search(text) is None:
        return text
    pieces: list[bytes] = []
    copied = 0
    tokens = list(_ESCAPE.finditer(text))
    low_of_pair = False
    for place, token in enumerate(tokens):
        if low_of_pair:
            low_of_pair = False
            continue
        digits = token[1]
        if digits is None:
            continue
        code = int(digits, 16)
        if _is_high(code) and place + 1 < len(tokens):
            after = tokens[place + 1]
            low_of_pair = (
                after.start() == token.end() and after[1] is not None and _is_low(int(after[1], 16))
            )
            if low_of_pair:
                continue
        if code == _SUBSTITUTE:
            pieces += (text[copied : token.end()], b"001a")
            copied = token.end()
        elif code == 0 or _is_high(code) or _is_low(code):
            pieces += (text[copied : token.start()], b"\\u001a", digits)
            copied = token.end()
    return b"".join((*pieces, text[copied:]))


def unmask(text: bytes) -> bytes:
    """Return the text that `mask` was given, to the byte."""
    return _MASKED.sub(_unmask_token, text) if b"\\u001" in text else text


def _unmask_token(token: re.Match[bytes]) -> bytes:
    digits = token[1]
    if digits is None:
        return token[0]
    # U+001A keeps its own escape, whose hex digit may be of either case.
    return token[0][:6] if int(digits, 16) == _SUBSTITUTE else b"\\u" + digits


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
        decoded = json.loads(text, parse_int=Decimal, parse_float=_decimal_or_text)
        if not isinstance(decoded, dict):
            raise ValueError("not a JSON object") from None  # noqa: TRY004  bad input, not a bug
    fields: dict[str, Value] = decoded  # type: ignore[assignment]  # JSON decodes to Value
    return _unmask_members(fields) if b"\\u001" in text else fields


def _decimal_or_text(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except ArithmeticError:
        return digits


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


def is_too_deep(text: bytes) -> bool:
    """Tell whether JSON text nests arrays and objects more than `MAX_DEPTH` levels deep.

    Runs in C for ordinary documents: quotes and brackets alone are kept, and pairs of brackets
    removed from the inside out. What resists (brackets inside strings, depth) is counted exactly.
    """
    skeleton = text.translate(None, _NOT_SKELETON).replace(b'""', b"")
    for _ in range(_QUICK_ROUNDS):
        if not skeleton:
            return False
        skeleton = skeleton.replace(b"[]", b"").replace(b"{}", b"")
    depth = 0
    for byte in _STRING.sub(b"", text).translate(None, _NOT_SKELETON):
        depth += 1 if byte in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _is_high(code: int) -> bool:
    return 0xD800 <= code <= 0xDBFF  # noqa: PLR2004  Unicode's high surrogates


def _is_low(code: int) -> bool:
    return 0xDC00 <= code <= 0xDFFF  # noqa: PLR2004  Unicode's low surrogates
