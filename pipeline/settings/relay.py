"""The settings of the outbox relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from pipeline.settings.kinds import (
    LOOPBACK,
    Port,
    Positive,
    Seconds,
    Secret,
    SettingsError,
    check_networks,
    named,
    networks,
)

if TYPE_CHECKING:
    from pipeline.client_address import Networks


class Relay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The outbox relay."""

    admin_host: Annotated[str, Meta(description="address of health and metrics")] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="port of health and metrics; 0 takes any")] = 0
    webhook_url: Annotated[str, Meta(description="where enrolments are delivered to")] = ""
    webhook_secret: Annotated[Secret, Meta(description="whsec_ secret that signs deliveries")] = (
        Secret("")
    )
    batch_count: Annotated[
        Positive, Meta(description="most rows claimed at once for a webhook")
    ] = 50
    poll_s: Annotated[
        Seconds,
        Meta(description="longest pause between looks at the outbox; of new rows it is told"),
    ] = 0.05
    lease_s: Annotated[Seconds, Meta(description="time a claimed row stays with its relay")] = 60.0
    timeout_s: Annotated[Seconds, Meta(description="longest wait for the target's answer")] = 15.0
    requests_per_s: Annotated[Positive, Meta(description="most requests a second to a target")] = 50
    mixmax_token: Annotated[Secret, Meta(description="X-API-Token of Mixmax")] = Secret("")
    mixmax_url: Annotated[str, Meta(description="where Mixmax's API is")] = (
        "https://api.mixmax.com/v1"
    )
    allow_networks: Annotated[
        str,
        Meta(
            description="private networks that targets may be in, such as 10.0.0.0/8; comma between"
        ),
    ] = ""

    def allowed_networks(self) -> Networks:
        """Return `allow_networks`, read.

        Raises:
            ValueError: one is no network; says which and why.
        """
        return networks(self.allow_networks)


def check_relay(relay: Relay) -> None:
    """Refuse networks and a Mixmax account that could not be used, and too short a lease."""
    check_networks(relay.allow_networks, "relay", "allow_networks")
    if not _takes_a_token(relay.mixmax_url):
        raise SettingsError(
            f"{named('relay', 'mixmax_url')}: must be https:// with a host, since the token"
            " goes there"
        )
    token = relay.mixmax_token.value
    if not (token.isascii() and (token.isprintable() and " " not in token)):
        raise SettingsError(f"{named('relay', 'mixmax_token')}: has characters that no token has")
    if relay.lease_s <= relay.timeout_s:
        raise SettingsError(
            f"{named('relay', 'lease_s')}: not more than {named('relay', 'timeout_s')}, so"
            " that a row could be claimed again while it is being delivered"
        )


def _takes_a_token(text: str) -> bool:
    """Tell whether what is sent to a URL is encrypted, or stays on this machine."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    is_loopback = url.hostname in LOOPBACK
    return bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and is_loopback))
