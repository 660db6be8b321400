"""Encryption on the way to a server: whom to trust, and as whom to come.

Each library reads file names from the URL that it is given, in words of its own. Here they have one
name, and are written into the URLs, so that whoever connects connects alike.

Sources: aiormq (`amqps://…?cafile=`), PostgreSQL documentation, "SSL Support" (`sslmode`).
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pipeline.hosts import addresses_of, urls_of
from pipeline.settings.kinds import LOOPBACK, Secret, SettingsError, named

if TYPE_CHECKING:
    from collections.abc import Mapping


class Files(NamedTuple):
    """Names of PEM files; empty where not set."""

    ca: str
    certificate: str
    key: str


class _Words(NamedTuple):
    """A library's words for the files in a URL."""

    ca: str
    certificate: str
    key: str


_AMQP: Final = _Words("cafile", "certfile", "keyfile")
_POSTGRES: Final = _Words("sslrootcert", "sslcert", "sslkey")
_VERIFY_FULL: Final = "verify-full"


def with_files_of_broker(url: Secret, files: Files) -> Secret:
    """Return a broker's URL that names the files.

    Raises:
        SettingsError: a file cannot be used, or the URL would not be encrypted or not verified.
    """
    if not url or not any(files):
        return url
    _check_files("broker", files)
    if not url.value.startswith("amqps://"):
        raise _not_encrypted("broker", "does not begin with amqps://")
    if not is_verified_broker(url):
        raise _not_encrypted("broker", "has no_verify_ssl")
    return _with(url, {word: name for word, name in zip(_AMQP, files, strict=True) if name})


def with_files_of_database(url: Secret, files: Files) -> Secret:
    """Return a database's URL that names the files; with a CA, that demands to verify the server.

    Raises:
        SettingsError: as `with_files_of_broker`.
    """
    if not url or not any(files):
        return url
    _check_files("database", files)
    mode = _query(url).get("sslmode", _VERIFY_FULL if files.ca else "require")
    if mode != _VERIFY_FULL and files.ca:
        raise _not_encrypted("database", f"has sslmode={mode}, which is not {_VERIFY_FULL}")
    named_files = {word: name for word, name in zip(_POSTGRES, files, strict=True) if name}
    return _with(url, {"sslmode": mode, **named_files})


def is_verified_broker(url: Secret) -> bool:
    """Tell whether a broker's URL connects to nobody but the server that it names."""
    unverified = _query(url).get("no_verify_ssl", "0") != "0"
    return url.value.startswith("amqps://") and not unverified


def is_verified_database(url: Secret) -> bool:
    """Tell whether a database's URL connects to nobody but the server that it names.

    Without `sslmode` a driver prefers TLS, verifies nothing, and goes on without where there is
    none.
    """
    return _query(url).get("sslmode") == _VERIFY_FULL


def remote_hosts(url: Secret) -> list[str]:
    """Return the hosts of a URL that are not this machine."""
    hosts = [urlsplit(f"//{address}").hostname or "" for address in addresses_of(url.value)]
    hosts = hosts if any(hosts) else _query(url).get("host", "").split(",")
    return [host for host in hosts if host and host not in LOOPBACK and not host.startswith("/")]


def _check_files(section: str, files: Files) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.ca:
        try:
            context.load_verify_locations(files.ca)
        except OSError as error:
            raise _unusable(section, "ca_file", error) from None
    if files.certificate:
        try:
            context.load_cert_chain(files.certificate, files.key or None, password="")
        except OSError as error:
            which = "certificate_file" if not files.key else "key_file"
            raise _unusable(section, which, error) from None
    elif files.key:
        raise SettingsError(
            f"{named(section, 'key_file')} is set, and {named(section, 'certificate_file')} is not"
        )


def _unusable(section: str, name: str, error: OSError) -> SettingsError:
    # Of a file that holds no PEM the library says only that.
    why = error.strerror if not isinstance(error, ssl.SSLError) else f"not usable: {error.reason}"
    return SettingsError(f"{named(section, name)}: {why}")


def _not_encrypted(section: str, why: str) -> SettingsError:
    return SettingsError(
        f"{named(section, 'url')} {why}, and {named(section, 'ca_file')} would not be looked at"
    )


def _query(url: Secret) -> dict[str, str]:
    # Every host has the same.
    return dict(parse_qsl(urlsplit(urls_of(url.value)[0]).query))


def _with(url: Secret, words: Mapping[str, str]) -> Secret:
    query = urlencode({**_query(url), **words}, quote_via=quote)
    return Secret(f"{re.split('[?#]', url.value, maxsplit=1)[0]}?{query}")
