"""`Blob`, `EncodingUtil`, `Crypto`, `UUID`.

[apex_classes_restful_crypto, apex_classes_restful_encodingUtil]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import urllib.parse
import uuid
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import wrapped
from tests.apex_runtime.library.registry import define, platform_object
from tests.apex_runtime.scalars import Long

if TYPE_CHECKING:
    from tests.apex_runtime.objects import ApexObject

_MACS = {"hmacsha256": hashlib.sha256, "hmacsha512": hashlib.sha512, "hmacsha1": hashlib.sha1}
_DIGESTS = {
    "sha-256": hashlib.sha256,
    "sha256": hashlib.sha256,
    "sha-512": hashlib.sha512,
    "sha512": hashlib.sha512,
}
_LONG_BITS = 64


def to_bytes(text: str) -> bytes:
    """Return a text in UTF-8; half an emoji becomes a question mark, as in Java."""
    return text.encode("utf-8", "replace")


def _to_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        throw("StringException", "BLOB is not a valid UTF-8 string")


def _base64_decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        throw("InvalidParameterValueException", f"Unrecognized base64 character: {text[:20]}")


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        throw("InvalidParameterValueException", "Invalid hex string")


def _mac(algorithm: str, data: bytes, key: bytes) -> bytes:
    if algorithm.lower() not in _MACS:
        raise NotModelled(f"Crypto.generateMac('{algorithm}')")
    return hmac.new(key, data, _MACS[algorithm.lower()]).digest()


def _digest(algorithm: str, data: bytes) -> bytes:
    if algorithm.lower() not in _DIGESTS:
        raise NotModelled(f"Crypto.generateDigest('{algorithm}')")
    return _DIGESTS[algorithm.lower()](data).digest()


def _url_encoded(text: str, charset: str) -> str:
    _only_utf8(charset)
    return urllib.parse.quote_plus(text, safe="*-._").replace("~", "%7E")


def _url_decoded(text: str, charset: str) -> str:
    _only_utf8(charset)
    return urllib.parse.unquote_plus(text)


def _only_utf8(charset: str) -> None:
    if charset.casefold() != "utf-8":
        raise NotModelled(f"character set {charset}")


def _random_uuid() -> ApexObject:
    return platform_object("UUID", name=str(uuid.uuid4()))


def _uuid_of(text: str) -> ApexObject:
    try:
        return platform_object("UUID", name=str(uuid.UUID(text)))
    except ValueError:
        throw("IllegalArgumentException", f"Invalid UUID string: {text}")


define(
    "Blob",
    statics={
        "valueOf(String) Blob": to_bytes,
    },
    methods={
        "size() Integer": len,
        "toString() String": _to_text,
    },
)


define(
    "EncodingUtil",
    statics={
        "base64Decode(String) Blob": _base64_decoded,
        "base64Encode(Blob) String": lambda data: base64.b64encode(data).decode(),
        "convertFromHex(String) Blob": _from_hex,
        "convertToHex(Blob) String": lambda data: data.hex(),
        "urlDecode(String,String) String": _url_decoded,
        "urlEncode(String,String) String": _url_encoded,
    },
)

define(
    "Crypto",
    statics={
        "generateDigest(String,Blob) Blob": _digest,
        "generateMac(String,Blob,Blob) Blob": _mac,
        "generateAesKey(Integer) Blob": lambda bits: secrets.token_bytes(bits // 8),
        "getRandomInteger() Integer": lambda: wrapped(secrets.randbits(32)),
        "getRandomLong() Long": lambda: Long(wrapped(secrets.randbits(_LONG_BITS), _LONG_BITS)),
        "verifyHMac(String,Blob,Blob,Blob) Boolean": lambda algorithm, data, key, mac: (
            hmac.compare_digest(_mac(algorithm, data, key), mac)
        ),
    },
)

define(
    "UUID",
    by_value=True,
    statics={
        "fromString(String) UUID": _uuid_of,
        "randomUUID() UUID": _random_uuid,
    },
    methods={
        "toString() String": lambda this: this.fields["name"],
    },
)
