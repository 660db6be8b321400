"""The settings of secrets at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pipeline.key_ring import parse_keys
from pipeline.settings.kinds import Secret, SettingsError, named

if TYPE_CHECKING:
    from pipeline.key_ring import KeyRing


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Secrets at rest."""

    keys: Annotated[
        Secret,
        Meta(
            description="keys that encrypt orgs' secrets in the database, newest first, comma"
            " between (`penstock secrets new-key` prints one); unset: they are stored plain"
        ),
    ] = Secret("")

    def ring(self) -> KeyRing:
        """Return the keys, read.

        Raises:
            ValueError: one is no key; says which and why.
        """
        return parse_keys(self.keys.value)


def check_secrets(secrets: Secrets) -> None:
    """Refuse what is no key, before a process starts that could open no secret."""
    try:
        secrets.ring()
    except ValueError as error:
        raise SettingsError(f"{named('secrets', 'keys')}: {error}") from None
