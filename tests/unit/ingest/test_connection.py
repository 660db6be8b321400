from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import msgspec
import pytest

from ingest.admission import InFlight
from ingest.connection import ConnectionHandler, HandshakeAnswer, SecretRotation
from ingest.door import Door
from ingest.problems import Problem
from ingest.registry import Org, Registry
from pipeline.settings import Secret
from pipeline.signing import key_of, new_secret, signed_headers
from tests.arrived import post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool

ORG_ID = "00D5g000004XyzAEAS"
SYNC_USER_ID = "0055g00000AbCdEAAV"
CODE, SECRET, NEXT_SECRET = new_secret(), new_secret(), new_secret()
WISH = {
    "version": 1,
    "org_id": ORG_ID,
    "instance_url": "https://example.my.salesforce.com",
    "is_sandbox": False,
    "user_id": SYNC_USER_ID,
    "package_version": "0.1.0",
}


def org(**changed: Any) -> Org:
    """Return an org whose connect code is open, but for what is changed."""
    row = {
        "org_id": ORG_ID,
        "sync_user_id": SYNC_USER_ID,
        "secret": None,
        "next_secret": None,
        "connect_code": CODE,
        "connect_code_expires_s": time.time() + 60,
        "paused": False,
        "conditions": msgspec.Raw(b'{"Lead":["Status"]}'),
        "conditions_version": 3,
        **changed,
    }
    live = [key_of(row[name]) for name in ("secret", "next_secret") if row[name]]
    stored = {"stored_code": row["connect_code"], "stored_next": row["next_secret"]}
    return Org(**row, keys=tuple(live), **stored)


class Known(Registry):
    def __init__(self, known: Org) -> None:
        super().__init__(Secret(""))
        self._orgs = {known.org_id: known}

    async def read_one(self, *_: object) -> None:
        """Find none: what the database would say is tried with a real one."""
        self._orgs = {}


class Database:
    """Stands in for the pool and its connection: answers every statement with the same."""

    def __init__(self, answer: dict[str, Any] | Exception | None) -> None:
        self.statements: list[tuple[object, ...]] = []
        self._answer = answer

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Database]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def execute(self, *statement: object) -> None:
        self.statements.append(statement)
        await asyncio.sleep(0)
        if isinstance(self._answer, Exception):
            raise self._answer

    async def fetchrow(self, *statement: object) -> dict[str, Any] | None:
        await self.execute(*statement)
        return cast("dict[str, Any] | None", self._answer)


GIVEN = {"next_secret": NEXT_SECRET, "conditions_version": 3, "is_first": False}


async def shake_hands(
    known: Org, wish: dict[str, Any], database: Database, *, code: str = CODE
) -> tuple[int, dict[str, Any]]:
    """Return the status and the document of the answer to a signed handshake."""
    registry = Known(known)
    in_flight = InFlight(10**6)
    handler = ConnectionHandler(
        registry=registry,
        door=Door(registry, lambda _: None),
        in_flight=in_flight,
        pool=cast("Pool", database),
    )
    body = json.dumps(wish).encode()
    headers = signed_headers(code, "msg_1", int(time.time()), body)
    try:
        response = await handler.post_handshake(post(body, headers, ORG_ID))
    except Problem as problem:
        return problem.status, {"detail": problem.detail}
    finally:
        assert in_flight.held_bytes == 0
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body)


async def test_the_sync_user_with_the_code_gets_the_secret() -> None:
    status, answer = await shake_hands(org(), WISH, Database(GIVEN))
    assert (status, answer) == (200, {"secret": NEXT_SECRET, "conditions_version": 3})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"paused": True}, "paused"),
        ({"connect_code": None}, "no connect code is open"),
        ({"connect_code_expires_s": time.time() - 1}, "no connect code is open"),
    ],
)
async def test_an_org_that_may_not_connect_is_told_why(changed: dict[str, Any], why: str) -> None:
    database = Database(GIVEN)
    status, answer = await shake_hands(org(**changed), WISH, database)
    assert status == 403
    assert why in answer["detail"]
    assert not database.statements


@pytest.mark.parametrize(
    ("wish", "status", "why"),
    [
        ({"org_id": "00D5g000004OthrEAS"}, 403, "another org"),
        ({"user_id": "0055g00000OtherAAA"}, 403, "not this org's Sync User"),
        ({"version": 2}, 422, "$.version"),
        ({"instance_url": "https://nul\0"}, 422, "$.instance_url"),
        ({"instance_url": "x" * 2049}, 422, "$.instance_url"),
        ({"package_version": "\0"}, 422, "$.package_version"),
        ({"is_sandbox": "no"}, 422, "$.is_sandbox"),
        ({"padding": "x" * 70_000}, 413, "over"),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_told_why(
    wish: dict[str, Any], status: int, why: str
) -> None:
    database = Database(GIVEN)
    refused, answer = await shake_hands(org(), {**WISH, **wish}, database)
    assert refused == status
    assert why in answer["detail"]
    assert not database.statements


async def test_whoever_lacks_the_code_is_unauthorized() -> None:
    known = org(secret=SECRET)
    status, answer = await shake_hands(known, WISH, Database(GIVEN), code=SECRET)
    assert status == 401
    assert "secret" not in answer


async def test_a_code_that_was_replaced_meanwhile_gives_nothing() -> None:
    assert (await shake_hands(org(), WISH, Database(None)))[0] == 403


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.AdminShutdownError("57P01"),
        asyncpg.InterfaceError("closed"),
        asyncpg.InternalClientError("being closed"),
    ],
    ids=repr,
)
async def test_a_database_that_is_away_is_no_error_of_ours(error: Exception) -> None:
    assert (await shake_hands(org(), WISH, Database(error)))[0] == 503
    rotating = org(secret=SECRET, next_secret=NEXT_SECRET)
    rotation = SecretRotation(Known(rotating), cast("Pool", Database(error)))
    rotation.next_secret_used(rotating)
    await rotation.drain(5)


async def test_the_first_use_of_a_new_secret_is_written_once_and_retires_the_old_one_here() -> None:
    rotating = org(secret=SECRET, next_secret=NEXT_SECRET)
    database, registry = Database(None), Known(rotating)
    rotation = SecretRotation(registry, cast("Pool", database))
    for _ in range(20):
        rotation.next_secret_used(rotating)
    promoted = registry.get(ORG_ID)
    assert promoted is not None
    assert promoted.keys == (key_of(NEXT_SECRET),)
    await rotation.drain(5)
    assert [statement[1:] for statement in database.statements] == [(ORG_ID, NEXT_SECRET)]


def test_what_holds_secrets_has_no_form_that_shows_them() -> None:
    held = org(secret=SECRET, next_secret=NEXT_SECRET, connect_code="whsec_code")
    answer = HandshakeAnswer(NEXT_SECRET, 1)
    assert f"{held} {held!r}" == f"Org({ORG_ID}) Org({ORG_ID})"
    assert f"{answer} {answer!r}" == "HandshakeAnswer(***) HandshakeAnswer(***)"
