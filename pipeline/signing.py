"""Signatures as Standard Webhooks 1.0 defines them: HMAC-SHA256 over `id.timestamp.body`.

Source: standard-webhooks specification 1.0.0, "Signature scheme" and "Verifying webhook
authenticity".
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  the form's prefix, no secret
SECRET_SIZE_BYTES: Final = 32
TOLERANCE_S: Final = 300
# One callout carries one signature; a sender that rotates carries two. More is a flood.
_MAX_SIGNATURES: Final = 8
# It is kept with every change of the callout.
_MAX_ID_LENGTH: Final = 255


class InvalidSignature(Exception):
    """The callout is not proven to come from who it says (answered 401). Says why, no secret."""


class Offered(NamedTuple):
    """The headers of a signed message, read; `signatures` in base64."""

    message_id: str
    timestamp_s: int
    signatures: list[bytes]


def new_secret() -> str:
    """Return a fresh secret of 32 random bytes in `whsec_<base64>` form."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_SIZE_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the HMAC key inside a `whsec_` secret.

    Raises:
        ValueError: the text is not a secret of that form.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("a secret is whsec_ followed by base64") from None
    return key


def _digest(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> bytes:
    # One call into OpenSSL: a signer object costs more than a single record's hash.
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the `webhook-signature` value for one message; `timestamp_s` is Unix seconds."""
    return "v1," + _digest(key_of(secret), message_id, timestamp_s, body).decode()


def signed_headers(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers that carry a signature."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(secret, message_id, timestamp_s, body),
    }


def verify(  # noqa: PLR0913  the specification's own inputs, each named at the call
    *,
    keys: Iterable[bytes],
    message_id: str | None,
    timestamp: str | None,
    signatures: str | None,
    body: bytes,
    now_s: float,
) -> int:
    """Return the index of the key that signed the message. Constant time in the digests.

    Raises:
        InvalidSignature: a header is missing or malformed, the time is outside ±300 s, or no key
            matches.
    """
    claim = offered(message_id, timestamp, signatures, now_s)
    for index, key in enumerate(keys):
        expected = _digest(key, claim.message_id, claim.timestamp_s, body)
        if any(hmac.compare_digest(expected, signature) for signature in claim.signatures):
            return index
    raise InvalidSignature("no signature matches a secret of this org")


def offered(
    message_id: str | None, timestamp: str | None, signatures: str | None, now_s: float
) -> Offered:
    """Return what the headers offer, all that can be told of a message without its body.

    Raises:
        InvalidSignature: a header is missing or malformed, or the time is outside ±300 s.
    """
    if not message_id or not timestamp or not signatures:
        raise InvalidSignature("webhook-id, webhook-timestamp and webhook-signature are required")
    if len(message_id) > _MAX_ID_LENGTH or not (message_id.isascii() and message_id.isprintable()):
        raise InvalidSignature(f"webhook-id is over {_MAX_ID_LENGTH} characters or not plain text")
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > len("9999999999999"):
        raise InvalidSignature("webhook-timestamp is not a Unix time in seconds")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise InvalidSignature(f"webhook-timestamp is more than {TOLERANCE_S} s off this clock")
    texts = [
        signature.encode("ascii", "replace")
        for version, _, signature in (
            part.partition(",") for part in signatures.split(" ", _MAX_SIGNATURES)
        )
        if version == "v1"
    ]
    return Offered(message_id, int(timestamp), texts)
