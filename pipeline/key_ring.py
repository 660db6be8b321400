"""Secrets at rest: encrypted under a ring of keys, each text bound to the org that it is of.

AES-256-GCM with a random nonce and the org's id as associated data, so that a row copied to another
org does not open there. Source: NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_SIZE_BYTES: Final = 32
_NONCE_SIZE_BYTES: Final = 12
# What a column holds: this, the key's id, then nonce and ciphertext. Anything else is plain.
_PREFIX: Final = "sealed"
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class CannotOpen(Exception):
    """An encrypted secret has no key here, or is not this org's. Says which, and no secret."""


class KeyRing:
    """The live keys, newest first: the first encrypts, each decrypts. With none, all is plain."""

    def __init__(self, keys: Sequence[tuple[str, bytes]] = ()) -> None:
        self._newest = keys[0][0] if keys else None
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys}

    def __bool__(self) -> bool:
        return self._newest is not None

    def seal(self, org_id: str, text: str) -> str:
        """Return what is to be stored of an org's secret."""
        if self._newest is None:
            return text
        nonce = secrets.token_bytes(_NONCE_SIZE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, text.encode(), org_id.encode())
        return f"{_PREFIX}:{self._newest}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, org_id: str, stored: str) -> str:
        """Return the secret that is stored of an org, encrypted or still plain.

        Raises:
            CannotOpen: its key is not on the ring, or it was altered or is another org's.
        """
        if not stored.startswith(f"{_PREFIX}:"):
            return stored
        key_id, _, content = stored.removeprefix(f"{_PREFIX}:").partition(":")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotOpen(f"key {key_id} is not in PENSTOCK_SECRETS__KEYS")
        try:
            whole = base64.b64decode(content, validate=True)
            nonce, sealed = whole[:_NONCE_SIZE_BYTES], whole[_NONCE_SIZE_BYTES:]
            return cipher.decrypt(nonce, sealed, org_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen(f"key {key_id} does not open it: altered, or another org's") from None

    def is_current(self, stored: str) -> bool:
        """Tell whether a stored text is as `seal` would leave it now."""
        if self._newest is None:
            return not stored.startswith(f"{_PREFIX}:")
        return stored.startswith(f"{_PREFIX}:{self._newest}:")


def new_key() -> str:
    """Return a fresh key in `id:base64` form."""
    key = base64.b64encode(secrets.token_bytes(KEY_SIZE_BYTES)).decode()
    return f"{secrets.token_hex(4)}:{key}"


def parse_keys(text: str) -> KeyRing:
    """Read a ring from `id:base64,id:base64`, newest first.

    Raises:
        ValueError: it is not of that form; says which key and why, without quoting it.
    """
    keys: dict[str, bytes] = {}
    for place, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        key_id, _, content = part.partition(":")
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"key {place} has no id of letters, digits, _ and - before a colon")
        try:
            key = base64.b64decode(content, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE_BYTES:
            raise ValueError(f"key {place} is not {KEY_SIZE_BYTES} bytes in base64")
        if key_id in keys:
            raise ValueError(f"key {place} has the id of another")
        keys[key_id] = key
    return KeyRing(list(keys.items()))
