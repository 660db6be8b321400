"""The settings of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.settings.ingest import check_public_url
from pipeline.settings.kinds import (
    LOOPBACK,
    Port,
    Positive,
    Secret,
    SettingsError,
    check_networks,
    named,
    networks,
)

if TYPE_CHECKING:
    from pipeline.client_address import Networks

_SESSION_KEY_LENGTH: Final = 32


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The console."""

    host: Annotated[str, Meta(description="address that browsers come in on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port that browsers come in on")] = 8090
    public_url: Annotated[
        str,
        Meta(
            description="https address at which browsers reach it through a TLS proxy; needed"
            " where the host is no loopback address"
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Meta(
            description="networks of the proxies before it, whose X-Forwarded-For counts; comma"
            " between"
        ),
    ] = ""
    session_key: Annotated[
        Secret,
        Meta(
            description="signs sessions, at least 32 characters; unset: random at each start,"
            " which ends them"
        ),
    ] = Secret("")
    session_hours: Annotated[Positive, Meta(description="hours until a session ends")] = 12
    admin_host: Annotated[str, Meta(description="address of health and metrics")] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="port of health and metrics; 0 takes any")] = 0

    def trusted_networks(self) -> Networks:
        """Return `trusted_proxies`, read.

        Raises:
            ValueError: one is no network; says which and why.
        """
        return networks(self.trusted_proxies)


def check_console(console: Console) -> None:
    """Refuse a console to which tokens would travel in the clear, or whose sessions one can guess.

    Its public address is also the only one, besides loopback, that it answers by.
    """
    check_public_url("console", console.public_url)
    check_networks(console.trusted_proxies, "console", "trusted_proxies")
    if console.host not in LOOPBACK and not console.public_url:
        raise SettingsError(
            f"{named('console', 'public_url')} is not set, and {named('console', 'host')}"
            " is no loopback address: put a TLS proxy before the console and name its https"
            " address"
        )
    if 0 < len(console.session_key.value) < _SESSION_KEY_LENGTH:
        raise SettingsError(
            f"{named('console', 'session_key')}: shorter than {_SESSION_KEY_LENGTH} characters"
            " (`openssl rand -hex 32` makes one)"
        )
