"""Files of certificates: whether they are looked at, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from pipeline.settings import (
    SettingsError,
    load,
)
from tests.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ca")


def test_a_ca_makes_both_connections_verified(authority: Authority) -> None:
    ca_file = str(authority.ca_file)
    settings = load(
        {
            "PENSTOCK_BROKER__URL": f"amqps://me:{PASSWORD}@broker/vhost?heartbeat=7",
            "PENSTOCK_BROKER__CA_FILE": ca_file,
            "PENSTOCK_DATABASE__URL": f"postgresql://me:{PASSWORD}@a,b/penstock?target_session_attrs=primary",
            "PENSTOCK_DATABASE__CA_FILE": ca_file,
        }
    )
    broker, database = unquote(settings.broker.url.value), unquote(settings.database.url.value)
    assert broker == f"amqps://me:{PASSWORD}@broker/vhost?heartbeat=7&cafile={ca_file}"
    verified = f"target_session_attrs=primary&sslmode=verify-full&sslrootcert={ca_file}"
    assert database == f"postgresql://me:{PASSWORD}@a,b/penstock?{verified}"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("BROKER", "amqp://broker/"),
        ("BROKER", "amqps://broker/?no_verify_ssl=1"),
        ("DATABASE", "postgresql://database/?sslmode=prefer"),
        ("DATABASE", "postgresql://database/?sslmode=disable"),
        ("DATABASE", "postgresql://database/?sslmode=verify-ca"),
    ],
)
def test_a_ca_that_would_not_be_looked_at_is_refused(
    authority: Authority, server: str, url: str
) -> None:
    settings = {
        f"PENSTOCK_{server}__URL": url,
        f"PENSTOCK_{server}__CA_FILE": str(authority.ca_file),
    }
    with pytest.raises(SettingsError, match=rf"^PENSTOCK_{server}__URL .*CA_FILE would not be"):
        load(settings)


@pytest.mark.parametrize("name", ["CA_FILE", "CERTIFICATE_FILE"])
@pytest.mark.parametrize("server", ["BROKER", "DATABASE"])
def test_a_file_that_is_none_is_refused_by_its_setting(
    tmp_path: Path, server: str, name: str
) -> None:
    url = {"BROKER": "amqps://broker/", "DATABASE": "postgresql://database/"}[server]
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (empty, tmp_path / "nowhere.pem"):
        with pytest.raises(SettingsError, match=rf"^PENSTOCK_{server}__{name}: "):
            load({f"PENSTOCK_{server}__URL": url, f"PENSTOCK_{server}__{name}": str(path)})


def test_a_certificate_and_anothers_key_are_refused(authority: Authority) -> None:
    mine, other = authority.issue("mine"), authority.issue("other")
    with pytest.raises(SettingsError, match=r"^PENSTOCK_DATABASE__KEY_FILE: "):
        load(
            {
                "PENSTOCK_DATABASE__URL": "postgresql://database/",
                "PENSTOCK_DATABASE__CERTIFICATE_FILE": str(mine.certificate),
                "PENSTOCK_DATABASE__KEY_FILE": str(other.key),
            }
        )
