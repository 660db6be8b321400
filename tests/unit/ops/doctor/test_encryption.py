from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.doctor import encryption
from ops.doctor.finding import State
from ops.doctor.subject import Subject
from pipeline.settings import Broker, Database, Secret, Settings

if TYPE_CHECKING:
    from ops.doctor.finding import Verdict


def subject(broker: str = "", management: str = "", database: str = "") -> Subject:
    settings = Settings(
        broker=Broker(Secret(broker), Secret(management)), database=Database(Secret(database))
    )
    return Subject(settings, "not looked at", "not looked at")


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("amqp://me:secret@127.0.0.1:5672/", State.FINE),
        ("amqps://me:secret@rabbit.internal/", State.FINE),
        ("amqp://me:secret@rabbit.internal/", State.WRONG),
        ("amqps://me:secret@rabbit.internal/?no_verify_ssl=1", State.WRONG),
        ("amqp://me:secret@localhost,rabbit.internal/", State.WRONG),
    ],
)
async def test_what_goes_to_a_broker_elsewhere_has_to_be_verified(url: str, state: State) -> None:
    verdict = await encryption.broker(subject(broker=url))
    assert verdict.state is state
    assert "secret" not in verdict.told
    assert names_the_setting(verdict, "PENSTOCK_BROKER__CA_FILE")


async def test_the_management_api_has_a_password_too() -> None:
    seen = subject(broker="amqp://localhost/", management="http://me:secret@rabbit.internal:15672")
    verdict = await encryption.broker(seen)
    assert verdict.state is State.WRONG
    assert names_the_setting(verdict, "PENSTOCK_BROKER__MANAGEMENT_URL")


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("", State.WRONG),
        ("?sslmode=prefer", State.WRONG),
        ("?sslmode=require", State.WRONG),
        ("?sslmode=verify-ca&sslrootcert=/ca.pem", State.WRONG),
        ("?sslmode=verify-full&sslrootcert=/ca.pem", State.FINE),
    ],
)
async def test_a_database_elsewhere_is_verified_only_when_it_is_asked_for(
    query: str, state: State
) -> None:
    seen = subject(database=f"postgresql://me:secret@postgres.internal/penstock{query}")
    verdict = await encryption.database(seen)
    assert verdict.state is state
    assert names_the_setting(verdict, "PENSTOCK_DATABASE__CA_FILE")


@pytest.mark.parametrize(
    "url", ["postgresql://me@127.0.0.1/x", "postgresql:///x?host=/var/run/postgresql"]
)
async def test_a_database_on_this_machine_needs_no_encryption(url: str) -> None:
    assert (await encryption.database(subject(database=url))).state is State.FINE


def names_the_setting(verdict: Verdict, variable: str) -> bool:
    return verdict.state is State.FINE or variable in (verdict.mend or "")
