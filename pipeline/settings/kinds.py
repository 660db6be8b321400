"""What the sections are made of: kinds of value, the names of variables, the error."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

if TYPE_CHECKING:
    from pipeline.client_address import Networks

PREFIX: Final = "PENSTOCK_"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SettingsError(Exception):
    """A setting is misspelt, missing or wrong; the text names it and says why."""


class Secret:
    """A text that no log line and no traceback shows."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self.value)


def networks(text: str) -> Networks:
    """Return the networks that a setting lists.

    Raises:
        ValueError: one is no network; says which and why.
    """
    texts = (part.strip() for part in text.split(","))
    return tuple(ipaddress.ip_network(part) for part in texts if part)


def check_networks(text: str, *path: str) -> None:
    """Refuse a list of networks that cannot be read, naming its setting."""
    try:
        networks(text)
    except ValueError as error:
        raise SettingsError(f"{named(*path)}: {error}") from None


def named(*path: str) -> str:
    """Return the environment variable of a section's setting."""
    return PREFIX + "__".join(path).upper()
