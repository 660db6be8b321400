"""The two servers that every process talks to."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

from pipeline.hosts import addresses_of, urls_of
from pipeline.settings.kinds import Positive, Secret, SettingsError, named
from pipeline.settings.tls import Files, with_files_of_broker, with_files_of_database

_ADDRESS: Final = re.compile(r"(?:[^:\[\]]*|\[[^\]]+\])(?::[0-9]+)?")

# What PostgreSQL calls a server that takes changes.
_PRIMARY: Final = frozenset({"read-write", "primary"})
_CaFile = Annotated[
    str,
    Meta(
        description="PEM file of the CA whose certificates this server is to have; then nothing"
        " goes unencrypted"
    ),
]
_CertificateFile = Annotated[
    str, Meta(description="PEM file of the certificate to show to this server, if it asks for one")
]
_KeyFile = Annotated[str, Meta(description="PEM file of the certificate's key")]


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
    ca_file: _CaFile = ""
    certificate_file: _CertificateFile = ""
    key_file: _KeyFile = ""


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
    ca_file: _CaFile = ""
    certificate_file: _CertificateFile = ""
    key_file: _KeyFile = ""


def with_tls(broker: Broker, database: Database) -> tuple[Broker, Database]:
    """Return both with URLs that name the files.

    Raises:
        SettingsError: a file cannot be used, or would not be looked at.
    """
    return (
        msgspec.structs.replace(broker, url=with_files_of_broker(broker.url, _files(broker))),
        msgspec.structs.replace(
            database, url=with_files_of_database(database.url, _files(database))
        ),
    )


def _files(server: Broker | Database) -> Files:
    return Files(server.ca_file, server.certificate_file, server.key_file)


def check_servers(broker: Broker, database: Database) -> None:
    """Refuse a URL that no library could read, or that leads to a server which takes nothing."""
    _check_url("broker", broker.url, ("amqp://", "amqps://"))
    _check_url("broker", broker.management_url, ("http://", "https://"), "management_url")
    if len(urls_of(broker.management_url.value)) > 1:
        raise SettingsError(
            f"{named('broker', 'management_url')}: names several hosts; one node tells of all"
        )
    _check_url("database", database.url, ("postgresql://", "postgres://"))
    first, *others = urls_of(database.url.value)
    wanted = parse_qs(urlsplit(first).query).get("target_session_attrs", [])
    if others and not _PRIMARY & set(wanted):
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
    addresses = addresses_of(url.value)
    lacks_one = len(addresses) > 1 and "" in addresses
    if lacks_one or not all(map(_is_address, addresses)) or not _is_url(urls_of(url.value)[0]):
        raise SettingsError(
            f"{named(section, name)}: no host or port where one belongs (is a # ? / [ or ] in the"
            " password not percent-encoded?)"
        )


def _is_address(text: str) -> bool:
    """Tell whether this is a host with perhaps a port, or PostgreSQL's own socket: nothing."""
    return bool(_ADDRESS.fullmatch(text)) and _is_url(f"//{text}")


def _is_url(text: str) -> bool:
    """Tell whether the library reads it: what it says of one that it does not quotes passwords."""
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False
