"""The two servers that every process talks to."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

from pipeline.hosts import urls_of
from pipeline.settings.kinds import Positive, Secret, SettingsError, named

# Host and port; several of a cluster, and none for PostgreSQL's own socket.
_ADDRESSES: Final = re.compile(r"(?:(?:[^:,\[\]]*|\[[^\]]+\])(?::[0-9]+)?(?:,|$))*")

# What PostgreSQL calls a server that takes changes.
_PRIMARY: Final = frozenset({"read-write", "primary"})


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RabbitMQ."""

    url: Annotated[
        Secret,
        Meta(
            description="amqp:// or amqps:// URL of RabbitMQ; of a cluster with all nodes, comma"
            " between, such as amqps://user:password@a,b,c/vhost"
        ),
    ] = Secret("")
    management_url: Annotated[
        Secret,
        Meta(
            description="http:// or https:// URL of RabbitMQ's management API, with user and"
            " password; `doctor` looks at alarms and policies there"
        ),
    ] = Secret("")


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PostgreSQL."""

    url: Annotated[
        Secret,
        Meta(
            description="postgresql:// URL of PostgreSQL 15 or later; where there are standbys with"
            " all hosts, comma between, and ?target_session_attrs=read-write"
        ),
    ] = Secret("")
    pool_size: Annotated[Positive, Meta(description="connections a process may open")] = 4
    retention_days: Annotated[
        Positive,
        Meta(
            description="age in days up to which a change is taken; an older one is a dead letter"
        ),
    ] = 90


def check_servers(broker: Broker, database: Database) -> None:
    """Refuse a URL that no library could read, or that leads to a server which takes nothing."""
    _check_url("broker", broker.url, ("amqp://", "amqps://"))
    _check_url("broker", broker.management_url, ("http://", "https://"), "management_url")
    if len(urls_of(broker.management_url.value)) > 1:
        raise SettingsError(
            f"{named('broker', 'management_url')}: names several hosts; one node tells of all"
        )
    _check_url("database", database.url, ("postgresql://", "postgres://"))
    wanted = parse_qs(urlsplit(database.url.value).query).get("target_session_attrs", [])
    if len(urls_of(database.url.value)) > 1 and not _PRIMARY & set(wanted):
        raise SettingsError(
            f"{named('database', 'url')}: names several hosts, of which any would do: add"
            " ?target_session_attrs=read-write, so that the primary is found"
        )


def _check_url(section: str, url: Secret, schemes: tuple[str, ...], name: str = "url") -> None:
    """Refuse a URL that no library could read, quoting nothing: it holds a password."""
    if not url:
        return
    if not url.value.startswith(schemes):
        raise SettingsError(f"{named(section, name)}: does not begin with {' or '.join(schemes)}")
    addresses = urlsplit(url.value).netloc.rpartition("@")[2]
    lacks_one = "," in addresses and "" in addresses.split(",")
    if lacks_one or not _ADDRESSES.fullmatch(addresses):
        raise SettingsError(
            f"{named(section, name)}: no host or port where one belongs (is a # ? or / in the"
            " password not percent-encoded?)"
        )
