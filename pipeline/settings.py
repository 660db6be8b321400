"""Every setting: one tree of frozen structs, read once from the environment at start.

`PENSTOCK_INGEST__PORT` is `settings.ingest.port`: the prefix, then the path with double
underscores. A name that does not exist, or a value that does not fit, stops the process.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, field

from pipeline.key_ring import parse_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.key_ring import KeyRing

PREFIX: Final = "PENSTOCK_"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Of messages of up to 256 KiB (`pipeline.topology.MAX_MESSAGE_BYTES`), 32 MiB.
MAX_PREFETCH_COUNT: Final = 128
_MAX_PORT: Final = 65_535
# Host and port; PostgreSQL takes several, and none for its own socket.
_ADDRESSES: Final = re.compile(r"(?:(?:[^:,\[\]]*|\[[^\]]+\])(?::[0-9]+)?(?:,|$))*")
_PUBLIC_URL: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?")
_SESSION_KEY_LENGTH: Final = 32

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
    body_timeout_s: Annotated[Seconds, Meta(description="longest wait for a request's body")] = 30.0
    publish_timeout_s: Annotated[
        Seconds, Meta(description="longest wait for the broker's confirm; past it 503")
    ] = 1.2
    org_callouts_per_s: Annotated[
        Positive, Meta(description="callouts that one org may send a second; past it 429")
    ] = 5000
    drain_s: Annotated[
        Seconds, Meta(description="longest wait for requests under way at shutdown")
    ] = 20.0


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The consumers."""

    admin_host: Annotated[str, Meta(description="address of health and metrics")] = "127.0.0.1"
    admin_port: Annotated[
        Port,
        Meta(description="port of health and metrics; 0 takes any; further processes the next"),
    ] = 0
    process_count: Annotated[
        int, Meta(ge=1, le=64, description="processes that one `penstock worker` runs")
    ] = 1
    prefetch_count: Annotated[
        Positive,
        Meta(description="messages a process holds unsettled, shared by its queues; at most 128"),
    ] = 128
    batch_count: Annotated[Positive, Meta(description="most changes in one transaction")] = 1000
    hold_s: Annotated[
        Seconds, Meta(description="longest hold of deliveries while the database is away")
    ] = 300.0
    drain_s: Annotated[
        Seconds, Meta(description="longest wait for the batch under way at shutdown")
    ] = 20.0
    parent_wait_s: Annotated[
        Seconds, Meta(description="longest wait of a rule for a looked-up record to be synced")
    ] = 600.0
    gap_confirm_s: Annotated[
        Seconds,
        Meta(description="time in which a gap in a record's changes may still be filled"),
    ] = 86_400.0
    sweep_s: Annotated[
        Seconds,
        Meta(description="pause between sweeps over what waits or has to be evaluated again"),
    ] = 1.0


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

    def allowed_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Return `allow_networks`, read.

        Raises:
            ValueError: one is no network; says which and why.
        """
        texts = (text.strip() for text in self.allow_networks.split(","))
        return tuple(ipaddress.ip_network(text) for text in texts if text)


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


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severity written")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto: colour on a terminal")
    ] = "auto"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    broker: Broker = field(default_factory=Broker)
    database: Database = field(default_factory=Database)
    ingest: Ingest = field(default_factory=Ingest)
    worker: Worker = field(default_factory=Worker)
    relay: Relay = field(default_factory=Relay)
    console: Console = field(default_factory=Console)
    secrets: Secrets = field(default_factory=Secrets)
    log: Log = field(default_factory=Log)


class Setting(msgspec.Struct, frozen=True):
    """One setting, for documentation: its variable, default and meaning."""

    variable: str
    default: str
    meaning: str


def listing() -> Iterator[Setting]:
    """Yield every setting in the order of the tree."""
    defaults = Settings()
    for section in msgspec.structs.fields(Settings):
        group = getattr(defaults, section.name)
        hints = _hints(group)
        for leaf in msgspec.structs.fields(group):
            value = getattr(group, leaf.name)
            metadata = getattr(hints[leaf.name], "__metadata__", ())
            meaning = " ".join(m.description for m in metadata if m.description)
            shown = value.value if isinstance(value, Secret) else str(value)
            yield Setting(_variable(section.name, leaf.name), shown, meaning)


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises:
        SettingsError: a variable is misspelt or its value does not fit; names the variable.
    """
    known = {setting.variable for setting in listing()}
    tree: dict[str, dict[str, object]] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{variable} is not a setting{hint}")
        section, _, name = variable.removeprefix(PREFIX).lower().partition("__")
        tree.setdefault(section, {})[name] = text
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        section, _, name = place.rstrip("`").partition(".")
        raise SettingsError(
            f"{_variable(section, name)}: {_told(problem, section, name)}"
        ) from None
    _check_public_url("ingest", settings.ingest.public_url)
    _check_console(settings.console)
    _check_url("broker", settings.broker.url, ("amqp://", "amqps://"))
    _check_url("broker", settings.broker.management_url, ("http://", "https://"), "management_url")
    _check_url("database", settings.database.url, ("postgresql://", "postgres://"))
    try:
        settings.secrets.ring()
    except ValueError as error:
        raise SettingsError(f"{_variable('secrets', 'keys')}: {error}") from None
    _check_together(settings)
    return settings


def _check_public_url(section: str, url: str) -> None:
    """Refuse what is not https, which alone Salesforce calls, or more than scheme and host."""
    if url and not _PUBLIC_URL.fullmatch(url):
        raise SettingsError(
            f"{_variable(section, 'public_url')}: must be https:// with a host and perhaps a port,"
            f" such as https://{section}.example.com"
        )


def _check_console(console: Console) -> None:
    """Refuse a console to which tokens would travel in the clear, or whose sessions one can guess.

    Its public address is also the only one, besides loopback, that it answers by.
    """
    _check_public_url("console", console.public_url)
    if console.host not in LOOPBACK and not console.public_url:
        raise SettingsError(
            f"{_variable('console', 'public_url')} is not set, and {_variable('console', 'host')}"
            " is no loopback address: put a TLS proxy before the console and name its https"
            " address"
        )
    if 0 < len(console.session_key.value) < _SESSION_KEY_LENGTH:
        raise SettingsError(
            f"{_variable('console', 'session_key')}: shorter than {_SESSION_KEY_LENGTH} characters"
            " (`openssl rand -hex 32` makes one)"
        )


def _check_url(section: str, url: Secret, schemes: tuple[str, ...], name: str = "url") -> None:
    """Refuse a URL that no library could read, quoting nothing: it holds a password."""
    if not url:
        return
    if not url.value.startswith(schemes):
        raise SettingsError(
            f"{_variable(section, name)}: does not begin with {' or '.join(schemes)}"
        )
    if not _ADDRESSES.fullmatch(urlsplit(url.value).netloc.rpartition("@")[2]):
        raise SettingsError(
            f"{_variable(section, name)}: no host or port where one belongs (is a # ? or / in the"
            " password not percent-encoded?)"
        )


def _check_together(settings: Settings) -> None:
    """Refuse settings that are sound one by one and make no sense together."""
    ingest, relay = settings.ingest, settings.relay
    if ingest.max_in_flight_bytes < ingest.max_body_bytes:
        raise SettingsError(
            f"{_variable('ingest', 'max_in_flight_bytes')}: less than"
            f" {_variable('ingest', 'max_body_bytes')}, so that no large body could ever come in"
        )
    _check_worker(settings.worker)
    _check_relay(relay)
    if relay.lease_s <= relay.timeout_s:
        raise SettingsError(
            f"{_variable('relay', 'lease_s')}: not more than {_variable('relay', 'timeout_s')}, so"
            " that a row could be claimed again while it is being delivered"
        )


def _check_worker(worker: Worker) -> None:
    if worker.prefetch_count > MAX_PREFETCH_COUNT:
        raise SettingsError(
            f"{_variable('worker', 'prefetch_count')}: {worker.prefetch_count} messages of up to"
            f" 256 KiB are more than the 32 MiB that a worker may hold; at most"
            f" {MAX_PREFETCH_COUNT}"
        )
    last = worker.admin_port + worker.process_count - 1
    if worker.admin_port and last > _MAX_PORT:
        raise SettingsError(
            f"{_variable('worker', 'admin_port')}: each of {worker.process_count} processes takes"
            f" the next port, and the last would be {last}"
        )


def _check_relay(relay: Relay) -> None:
    try:
        relay.allowed_networks()
    except ValueError as error:
        raise SettingsError(f"{_variable('relay', 'allow_networks')}: {error}") from None
    url = urlsplit(relay.mixmax_url)
    is_loopback = url.hostname in LOOPBACK
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and is_loopback)):
        raise SettingsError(
            f"{_variable('relay', 'mixmax_url')}: must be https:// with a host, since the token"
            " goes there"
        )
    token = relay.mixmax_token.value
    if not (token.isascii() and (token.isprintable() and " " not in token)):
        raise SettingsError(
            f"{_variable('relay', 'mixmax_token')}: has characters that no token has"
        )


def require(settings: Settings, *variables: str) -> None:
    """Stop unless each of `variables` has a value.

    Raises:
        SettingsError: one is not set; names it and what it means.
    """
    for setting in listing():
        if setting.variable in variables:
            section, _, name = setting.variable.removeprefix(PREFIX).lower().partition("__")
            if not getattr(getattr(settings, section), name):
                raise SettingsError(f"{setting.variable} is not set ({setting.meaning})")


def _told(problem: str, section: str, name: str) -> str:
    """Return msgspec's words for a wrong value, with the choices where there are choices."""
    choices = get_args(get_args(_hints(getattr(Settings(), section))[name])[0])
    return f"{problem}, expected {' or '.join(choices)}" if choices else problem


def _hints(group: msgspec.Struct) -> dict[str, Any]:
    return get_type_hints(type(group), include_extras=True)


def _variable(*path: str) -> str:
    return PREFIX + "__".join(path).upper()


def _decode(expected: type, value: object) -> object:
    if expected is Secret:
        return Secret(str(value))
    raise NotImplementedError(expected)
