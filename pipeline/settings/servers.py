"""The two servers that every process talks to."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from pipeline.settings.kinds import Positive, Secret, SettingsError, named

# Host and port; PostgreSQL takes several, and none for its own socket.
_ADDRESSES: Final = re.compile(r"(?:(?:[^:,\[\]]*|\[[^\]]+\])(?::[0-9]+)?(?:,|$))*")


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RabbitMQ."""

    url: Annotated[Secret, Meta(description="amqp:// or amqps:// URL of RabbitMQ")] = Secret("")
    management_url: Annotated[
        Secret,
        Meta(
            description="http:// or https:// URL of RabbitMQ's management API, with user and"
            " password; `doctor` looks at alarms and policies there"
        ),
    ] = Secret("")


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PostgreSQL."""

    url: Annotated[Secret, Meta(description="postgresql:// URL of PostgreSQL 15 or later")] = (
        Secret("")
    )
    pool_size: Annotated[Positive, Meta(description="connections a process may open")] = 4
    retention_days: Annotated[
        Positive,
        Meta(
            description="age in days up to which a change is taken; an older one is a dead letter"
        ),
    ] = 90


def check_servers(broker: Broker, database: Database) -> None:
    """Refuse a URL that no library could read."""
    _check_url("broker", broker.url, ("amqp://", "amqps://"))
    _check_url("broker", broker.management_url, ("http://", "https://"), "management_url")
    _check_url("database", database.url, ("postgresql://", "postgres://"))


def _check_url(section: str, url: Secret, schemes: tuple[str, ...], name: str = "url") -> None:
    """Refuse a URL that no library could read, quoting nothing: it holds a password."""
    if not url:
        return
    if not url.value.startswith(schemes):
        raise SettingsError(f"{named(section, name)}: does not begin with {' or '.join(schemes)}")
    if not _ADDRESSES.fullmatch(urlsplit(url.value).netloc.rpartition("@")[2]):
        raise SettingsError(
            f"{named(section, name)}: no host or port where one belongs (is a # ? or / in the"
            " password not percent-encoded?)"
        )
