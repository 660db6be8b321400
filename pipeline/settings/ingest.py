"""The settings of the edge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.settings.kinds import (
    Port,
    Positive,
    Seconds,
    SettingsError,
    check_networks,
    named,
    networks,
)

if TYPE_CHECKING:
    from pipeline.client_address import Networks

_PUBLIC_URL: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?")


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The edge."""

    host: Annotated[str, Meta(description="address that callouts come in on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port that callouts come in on")] = 8080
    public_url: Annotated[
        str,
        Meta(description="https address at which Salesforce reaches ingest; `org add` prints it"),
    ] = ""
    admin_host: Annotated[str, Meta(description="address of health and metrics")] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="port of /healthz /readyz /metrics")] = 9080
    max_body_bytes: Annotated[
        Positive, Meta(description="largest body, before and after decompression")
    ] = 12 * 1024 * 1024
    max_in_flight_bytes: Annotated[
        Positive, Meta(description="bodies held at once, in bytes; past it 503")
    ] = 96 * 1024 * 1024
    max_connections: Annotated[
        Positive,
        Meta(
            description="connections held at once; a new one ends the one that rests the longest,"
            " or gets 503 where none rests"
        ),
    ] = 1000
    head_timeout_s: Annotated[
        Seconds, Meta(description="longest wait for the head of a request, once it began")
    ] = 10.0
    idle_timeout_s: Annotated[
        Seconds,
        Meta(description="time that a connection may rest between requests; more than a proxy's"),
    ] = 650.0
    body_timeout_s: Annotated[Seconds, Meta(description="longest wait for a request's body")] = 30.0
    publish_timeout_s: Annotated[
        Seconds, Meta(description="longest wait for the broker's confirm; past it 503")
    ] = 1.2
    org_callouts_per_s: Annotated[
        Positive, Meta(description="callouts that one org may send a second; past it 429")
    ] = 5000
    failed_signatures_per_minute: Annotated[
        Positive,
        Meta(
            description="requests of an address that may fail to prove their org a minute, and ten"
            " times as many of an org; past it 429"
        ),
    ] = 60
    trusted_proxies: Annotated[
        str,
        Meta(
            description="networks of the proxies before it, whose X-Forwarded-For counts; comma"
            " between"
        ),
    ] = ""
    backlog_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="work, in seconds of the workers' time, that may wait in an object's queue"
            " before the orgs with more than their share of it get 429; 0 bounds nothing",
        ),
    ] = 3.0
    drain_s: Annotated[
        Seconds, Meta(description="longest wait for requests under way at shutdown")
    ] = 20.0

    def trusted_networks(self) -> Networks:
        """Return `trusted_proxies`, read.

        Raises:
            ValueError: one is no network; says which and why.
        """
        return networks(self.trusted_proxies)


def check_ingest(ingest: Ingest) -> None:
    """Refuse an address that nobody could call, and a limit that shuts out what another admits."""
    check_public_url("ingest", ingest.public_url)
    check_networks(ingest.trusted_proxies, "ingest", "trusted_proxies")
    if ingest.max_in_flight_bytes < ingest.max_body_bytes:
        raise SettingsError(
            f"{named('ingest', 'max_in_flight_bytes')}: less than"
            f" {named('ingest', 'max_body_bytes')}, so that no large body could ever come in"
        )


def check_public_url(section: str, url: str) -> None:
    """Refuse what is not https, which alone Salesforce calls, or more than scheme and host."""
    if url and not _PUBLIC_URL.fullmatch(url):
        raise SettingsError(
            f"{named(section, 'public_url')}: must be https:// with a host and perhaps a port,"
            f" such as https://{section}.example.com"
        )
