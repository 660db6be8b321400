from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.settings import (
    MAX_PREFETCH_COUNT,
    PREFIX,
    Secret,
    Settings,
    SettingsError,
    listing,
    load,
    require,
)
from pipeline.topology import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PASSWORD = "hunter2"
SECRETS = {
    "PENSTOCK_BROKER__URL": f"amqp://me:{PASSWORD}@broker/",
    "PENSTOCK_DATABASE__URL": f"postgresql://me:{PASSWORD}@database/",
    "PENSTOCK_RELAY__WEBHOOK_SECRET": f"whsec_{PASSWORD}",
}


def test_nothing_set_gives_the_defaults() -> None:
    settings = load({})
    assert (settings.ingest.port, settings.ingest.admin_port) == (8080, 9080)
    assert settings.ingest.host == "127.0.0.1"
    assert not settings.broker.url


def test_a_variable_sets_what_its_name_says() -> None:
    settings = load(
        {
            "PENSTOCK_INGEST__PORT": "0",
            "PENSTOCK_INGEST__BODY_TIMEOUT_S": "1.5",
            "PENSTOCK_WORKER__PREFETCH_COUNT": "1",
            "PENSTOCK_LOG__LEVEL": "debug",
            "PENSTOCK_RELAY__WEBHOOK_URL": "https://example.com/hook",
            **SECRETS,
        }
    )
    assert settings.ingest.port == 0
    assert settings.ingest.body_timeout_s == 1.5
    assert settings.worker.prefetch_count == 1
    assert settings.log.level == "debug"
    assert settings.relay.webhook_url == "https://example.com/hook"
    assert settings.broker.url.value == SECRETS["PENSTOCK_BROKER__URL"]


def test_other_programs_variables_are_none_of_ours() -> None:
    assert load({"PATH": "/bin", "PENSTOCKS": "7", "penstock_ingest__port": "x"}) is not None


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("PENSTOCK_INGEST__PROT", "PENSTOCK_INGEST__PORT"),
        ("PENSTOCK_INGEST_PORT", "PENSTOCK_INGEST__PORT"),
        ("PENSTOCK_DATABASE_URL", "PENSTOCK_DATABASE__URL"),
        ("PENSTOCK_BROKER__URL_", "PENSTOCK_BROKER__URL"),
        ("PENSTOCK_WORKER__PREFETCH", "PENSTOCK_WORKER__PREFETCH_COUNT"),
    ],
)
def test_a_misspelt_name_is_refused_with_a_near_one(variable: str, near: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable} is not .*; did you mean {near}\?$"):
        load({variable: "7"})


@pytest.mark.parametrize("variable", ["PENSTOCK_", "PENSTOCK___", "PENSTOCK_QQQQ__WWWW"])
def test_a_name_like_no_other_is_refused_as_well(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load({variable: "7"})


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("PENSTOCK_INGEST__PORT", "http", "int"),
        ("PENSTOCK_INGEST__PORT", "", "int"),
        ("PENSTOCK_INGEST__PORT", "65536", "<= 65535"),
        ("PENSTOCK_INGEST__PORT", "-1", ">= 0"),
        ("PENSTOCK_INGEST__MAX_BODY_BYTES", "0", ">= 1"),
        ("PENSTOCK_INGEST__MAX_BODY_BYTES", "12MB", "int"),
        ("PENSTOCK_INGEST__BODY_TIMEOUT_S", "soon", "float"),
        ("PENSTOCK_INGEST__BODY_TIMEOUT_S", "0", "> 0"),
        ("PENSTOCK_INGEST__BODY_TIMEOUT_S", "nan", "> 0"),
        ("PENSTOCK_LOG__LEVEL", "loud", "debug or info or warning or error"),
        ("PENSTOCK_LOG__FORMAT", "", "auto or json or console"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(
    variable: str, text: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: .*{re.escape(expected)}"):
        load({variable: text})


def test_what_a_process_needs_is_asked_for_by_name_and_meaning() -> None:
    settings = load({"PENSTOCK_BROKER__URL": "amqp://broker"})
    require(settings, "PENSTOCK_BROKER__URL")
    with pytest.raises(SettingsError, match=r"PENSTOCK_DATABASE__URL is not set \(postgresql:"):
        require(settings, "PENSTOCK_BROKER__URL", "PENSTOCK_DATABASE__URL")


def shown(settings: Settings) -> Mapping[str, str]:
    """Return every way in which settings come into logs and tracebacks."""
    trace = "".join(traceback.format_exception(ValueError(settings)))
    url = settings.broker.url
    return {"repr": repr(settings), "str": f"{settings} {url} {url!s} {url!r}", "trace": trace}


def test_secrets_are_never_shown() -> None:
    for text in shown(load(SECRETS)).values():
        assert PASSWORD not in text
    assert not any(PASSWORD in setting.default for setting in listing())


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{SECRETS['PENSTOCK_DATABASE__URL']}\n")
    settings = load({"PENSTOCK_DATABASE__URL_FILE": str(file)})
    assert settings.database.url.value == SECRETS["PENSTOCK_DATABASE__URL"]


def test_what_is_no_secret_stands_in_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^PENSTOCK_LOG__LEVEL_FILE is not a setting"):
        load({"PENSTOCK_LOG__LEVEL_FILE": str(tmp_path / "level")})


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_file_that_holds_no_secret_is_refused_by_its_name(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^PENSTOCK_SECRETS__KEYS_FILE: .*{file}"):
        load({"PENSTOCK_SECRETS__KEYS_FILE": str(file)})


def test_a_secret_that_is_set_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("whsec_other")
    with pytest.raises(SettingsError, match="PENSTOCK_RELAY__WEBHOOK_SECRET_FILE are both set"):
        load({**SECRETS, "PENSTOCK_RELAY__WEBHOOK_SECRET_FILE": str(file)})


def test_a_wrong_neighbour_does_not_show_a_secret() -> None:
    with pytest.raises(SettingsError) as refused:
        load({**SECRETS, "PENSTOCK_INGEST__PORT": "x"})
    assert PASSWORD not in str(refused.value)


def test_whether_a_secret_is_set_can_be_asked() -> None:
    assert Secret("x")
    assert not Secret("")


def test_nothing_of_the_settings_can_be_set_afterwards() -> None:
    settings = load({})
    for group in (settings, *(getattr(settings, f.name) for f in msgspec.structs.fields(settings))):
        for leaf in msgspec.structs.fields(group):
            with pytest.raises(AttributeError):
                setattr(group, leaf.name, None)


def test_every_setting_is_documented_under_its_variable() -> None:
    settings = list(listing())
    assert len({setting.variable for setting in settings}) == len(settings)
    for setting in settings:
        assert re.fullmatch(rf"{PREFIX}[A-Z]+__[A-Z]+(_[A-Z]+)*", setting.variable)
        assert len(setting.meaning) > 5, setting.variable


def test_every_documented_default_is_what_its_variable_may_be_set_to() -> None:
    defaults = {s.variable: s.default for s in listing()}
    loaded = load(defaults)
    for section in msgspec.structs.fields(loaded):
        group, untouched = getattr(loaded, section.name), getattr(Settings(), section.name)
        for leaf in msgspec.structs.fields(group):
            if not isinstance(getattr(group, leaf.name), Secret):
                assert getattr(group, leaf.name) == getattr(untouched, leaf.name)


BROKER = "PENSTOCK_BROKER__URL"
MANAGEMENT = "PENSTOCK_BROKER__MANAGEMENT_URL"
DATABASE = "PENSTOCK_DATABASE__URL"


@pytest.mark.parametrize(
    ("variable", "url", "told"),
    [
        (BROKER, "http://me:hunter2@topsecret/", "does not begin with amqp:// or amqps://"),
        (BROKER, "topsecret:5672", "does not begin with amqp:// or amqps://"),
        (BROKER, "amqp://me:hunter2#x@topsecret:5672/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2/x@topsecret:5672/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2?x@topsecret:5672/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2@topsecret:port/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2@topsecret,,other/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2[x@topsecret/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2@topsecret:99999/", "no host or port where one belongs"),
        (BROKER, "amqp://me:hunter2@[topsecret]/", "no host or port where one belongs"),
        (MANAGEMENT, "http://me:hunter2@topsecret,other", "names several hosts; one node tells"),
        (DATABASE, "mysql://me:hunter2@topsecret/", "does not begin with postgresql:// or"),
        (DATABASE, "host=topsecret password=hunter2", "does not begin with postgresql:// or"),
        (DATABASE, "postgresql://me:hunter2#x@topsecret/x", "no host or port where one belongs"),
        (DATABASE, "postgresql://me:hunter2@topsecret:port/x", "no host or port where one belongs"),
        (DATABASE, "postgresql://me:hunter2@topsecret,/x", "no host or port where one belongs"),
        (DATABASE, "postgresql://me:hunter2]x@topsecret/x", "no host or port where one belongs"),
        (DATABASE, "postgresql://me:hunter2℀@topsecret/x", "no host or port where one belongs"),
        (DATABASE, "postgresql://me:hunter2@topsecret,b/x", "names several hosts, of which any"),
        (
            DATABASE,
            "postgresql://me:hunter2@topsecret,b/x?target_session_attrs=prefer-standby",
            "names several hosts, of which any would do: add ?target_session_attrs=read-write",
        ),
    ],
)
def test_a_wrong_url_is_refused_and_not_quoted(variable: str, url: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({variable: url})
    text = "".join(traceback.format_exception(refused.value))
    assert str(refused.value).startswith(f"{variable}: {told}")
    assert PASSWORD not in text
    assert "topsecret" not in text


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        (BROKER, "amqp://broker"),
        (BROKER, "amqps://me:hunter%232@broker:5671/penstock"),
        (BROKER, "amqp://me:hunter2@[::1]:5672/%2F"),
        (BROKER, "amqps://me:hunter2@one,two:5673,[::1]:5672/%2F"),
        (DATABASE, "postgres://me:hunter2@database/x"),
        (DATABASE, "postgresql://me:hunter%232@one:5432,two:5433/x?target_session_attrs=primary"),
        (DATABASE, "postgresql://me@[2001:db8::1]:5432,[::1]/x?target_session_attrs=read-write"),
        (DATABASE, "postgresql:///x?host=/tmp"),
        (DATABASE, "postgresql://me@/x?host=/tmp"),
    ],
)
def test_a_url_that_libraries_take_is_taken(variable: str, url: str) -> None:
    settings = load({variable: url})
    taken = settings.broker.url if variable == BROKER else settings.database.url
    assert taken.value == url


PUBLIC_URL = "PENSTOCK_INGEST__PUBLIC_URL"


@pytest.mark.parametrize(
    "url",
    [
        "http://ingest.example.com",
        "ingest.example.com",
        "https://",
        "https://ingest.example.com/",
        "https://ingest.example.com/v1",
        "https://me:secret@ingest.example.com",
        "https://ingest.example.com:port",
        "https://ingest.example.com\n",
        "https://it's.example.com",
    ],
)
def test_an_address_that_salesforce_could_not_call_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=f"^{PUBLIC_URL}: must be https:// with a host and"):
        load({PUBLIC_URL: url})


@pytest.mark.parametrize("url", ["", "https://ingest.example.com", "https://10.0.0.7:8443"])
def test_an_https_address_is_taken_and_so_is_none(url: str) -> None:
    assert load({PUBLIC_URL: url}).ingest.public_url == url


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PENSTOCK_RELAY__ALLOW_NETWORKS", "10.0.0.0/8, nonsense"),
        ("PENSTOCK_RELAY__ALLOW_NETWORKS", "10.0.0.1/8"),
        ("PENSTOCK_RELAY__MIXMAX_URL", "http://api.mixmax.example/v1"),
        ("PENSTOCK_RELAY__MIXMAX_URL", "api.mixmax.example"),
        ("PENSTOCK_RELAY__MIXMAX_URL", ""),
        ("PENSTOCK_RELAY__MIXMAX_URL", "https://[api.mixmax.example/v1"),
        ("PENSTOCK_RELAY__MIXMAX_TOKEN", "hunter2\r\nX-Other: 1"),
        ("PENSTOCK_RELAY__REQUESTS_PER_S", "0"),
    ],
)
def test_a_relay_that_could_reach_no_target_is_refused(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: ") as refused:
        load({variable: text})
    assert PASSWORD not in str(refused.value)


def test_networks_and_a_mixmax_on_this_machine_are_taken() -> None:
    settings = load(
        {
            "PENSTOCK_RELAY__ALLOW_NETWORKS": "10.0.0.0/8, fd00::/8,",
            "PENSTOCK_RELAY__MIXMAX_URL": "http://127.0.0.1:8000/v1",
        }
    )
    assert [str(network) for network in settings.relay.allowed_networks()] == [
        "10.0.0.0/8",
        "fd00::/8",
    ]


def test_a_worker_that_would_hold_too_much_does_not_start() -> None:
    with pytest.raises(SettingsError, match=r"PREFETCH_COUNT: 129 messages .* 32 MiB .* most 128"):
        load({"PENSTOCK_WORKER__PREFETCH_COUNT": "129"})
    assert load({"PENSTOCK_WORKER__PREFETCH_COUNT": "128"}).worker.prefetch_count == 128
    # The bound is of bytes: who lets messages grow has to look at it again.
    assert MAX_PREFETCH_COUNT * MAX_MESSAGE_BYTES <= 32 * 1024**2


def test_every_process_of_a_worker_has_a_port() -> None:
    ports = {"PENSTOCK_WORKER__ADMIN_PORT": "65535", "PENSTOCK_WORKER__PROCESS_COUNT": "2"}
    with pytest.raises(SettingsError, match=r"ADMIN_PORT: .* would be 65536"):
        load(ports)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PENSTOCK_CONSOLE__PUBLIC_URL", "http://console.example.com"),
        ("PENSTOCK_CONSOLE__PUBLIC_URL", "https://console.example.com/below"),
        ("PENSTOCK_CONSOLE__SESSION_KEY", "k" * 31),
    ],
)
def test_a_console_whose_sessions_could_be_taken_is_refused(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: ") as refused:
        load({variable: text})
    assert "kkk" not in str(refused.value)


def test_a_console_that_others_reach_is_told_of_its_https_address() -> None:
    host = {"PENSTOCK_CONSOLE__HOST": "0.0.0.0"}  # noqa: S104  what is refused by itself
    with pytest.raises(SettingsError, match="PENSTOCK_CONSOLE__PUBLIC_URL is not set"):
        load(host)
    load({**host, "PENSTOCK_CONSOLE__PUBLIC_URL": "https://console.example.com"})
