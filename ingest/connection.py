"""How an org connects: the handshake that gives it a secret, and the conditions it fetches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta, Raw

from ingest.body import read_body
from ingest.door import UNREADABLE, verify_signature
from ingest.problems import bad_request, forbidden, unavailable, unprocessable
from pipeline.callout import ContractError, NotJsonError, SalesforceId, decode_body
from pipeline.database import DATABASE_ERRORS
from pipeline.objects import SObject, long_id
from pipeline.requests import Cause, ask_for_loads
from pipeline.signing import key_of, new_secret

if TYPE_CHECKING:
    from ingest.admission import InFlight
    from ingest.door import Door
    from ingest.registry import Org, Registry
    from pipeline.database import Pool

log = structlog.get_logger()

MAX_BODY_BYTES: Final = 64 * 1024
_BODY_TIMEOUT_S: Final = 10.0

# A lost answer is asked for again with the same code: the secret it gave then is given again.
_ANSWER_HANDSHAKE: Final = """
    UPDATE org
    SET next_secret = coalesce(next_secret, $3), instance_url = $4, is_sandbox = $5,
        package_version = $6, connected_at = now()
    WHERE org_id = $1 AND connect_code = $2 AND connect_code_expires_at > now()
    RETURNING next_secret, conditions_version, conditions::text,
              (SELECT connected_at IS NULL FROM org WHERE org_id = $1) AS is_first"""

# From the first use of the new secret on, neither the old one nor the code is good any more.
_RETIRE_OLD: Final = """
    UPDATE org
    SET secret = next_secret, next_secret = NULL,
        connect_code = NULL, connect_code_expires_at = NULL
    WHERE org_id = $1 AND next_secret = $2"""


class HandshakeRequest(msgspec.Struct, frozen=True):
    """What the package says when its Sync User connects it."""

    version: Literal[1]
    org_id: SalesforceId
    user_id: SalesforceId
    instance_url: Annotated[str, Meta(pattern="^[\\x21-\\x7e]{1,2048}\\Z")]
    is_sandbox: bool
    package_version: Annotated[str, Meta(pattern="^[\\x20-\\x7e]{0,64}\\Z")]


class HandshakeAnswer(msgspec.Struct, frozen=True):
    """What connects it: the secret, shown here and nowhere else."""

    secret: str
    conditions_version: int

    def __repr__(self) -> str:
        """Show no secret."""
        return "HandshakeAnswer(***)"


class Conditions(msgspec.Struct, frozen=True):
    """For each object, the fields whose update is worth a callout; none named: any."""

    version: int
    objects: Raw


_request_decoder: Final = msgspec.json.Decoder(HandshakeRequest)


class ConnectionHandler:
    """Serves the handshake and the conditions."""

    def __init__(self, *, registry: Registry, door: Door, in_flight: InFlight, pool: Pool) -> None:
        self._registry = registry
        self._door = door
        self._in_flight = in_flight
        self._pool = pool

    async def post_handshake(self, request: web.Request) -> web.Response:
        """Connect an org whose Sync User holds its connect code.

        Raises:
            Problem: 403 says plainly why not, 401 for a signature by anything but the code.
        """
        org = self._door.org(request)
        if org.paused:
            raise self._door.forbid(request, org.org_id, "this org is paused")
        if org.connect_code is None and org.stored_code is not None:
            raise unavailable(UNREADABLE)
        expires_s = org.connect_code_expires_s
        if org.connect_code is None or expires_s is None or expires_s <= time.time():
            raise self._door.forbid(
                request,
                org.org_id,
                "no connect code is open for this org: `penstock org rotate` prints a new one",
            )
        with (
            self._in_flight.hold() as held,
            self._door.proving(request, org, MAX_BODY_BYTES) as max_bytes,
        ):
            body, _ = await read_body(
                request, max_bytes=max_bytes, timeout_s=_BODY_TIMEOUT_S, held=held
            )
            verify_signature(request, (key_of(org.connect_code),), body)
        wish = _decode(body)
        if long_id(wish.org_id) != org.org_id:
            raise forbidden("the body names another org than the address (a refreshed sandbox?)")
        if long_id(wish.user_id) != org.sync_user_id:
            raise forbidden(
                f"user {wish.user_id} is not this org's Sync User: run it as the Sync User"
            )
        return web.Response(
            body=msgspec.json.encode(await self._give_secret(org, wish)),
            content_type="application/json",
        )

    async def _give_secret(self, org: Org, wish: HandshakeRequest) -> HandshakeAnswer:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    _ANSWER_HANDSHAKE,
                    org.org_id,
                    org.stored_code,
                    self._registry.ring.seal(org.org_id, new_secret()),
                    wish.instance_url,
                    wish.is_sandbox,
                    wish.package_version,
                )
                if row is not None and row["is_first"]:
                    # What rules read was there before the connection.
                    synced = [SObject(name) for name in msgspec.json.decode(row["conditions"])]
                    await ask_for_loads(connection, org.org_id, synced, Cause.CONNECTED)
            # The first callout may follow at once, ahead of the notification.
            async with self._pool.acquire() as connection:
                await self._registry.read_one(connection, org.org_id)
        except DATABASE_ERRORS as error:
            log.warning("handshake_held", org_id=org.org_id, error=error)
            raise unavailable("the database is away") from error
        if row is None:
            known = self._registry.get(org.org_id)
            if known is not None and known.connect_code == org.connect_code:
                raise unavailable("the connect code was being encrypted anew: try once more")
            raise forbidden("this connect code was used up or replaced in the meantime")
        log.info("org_connected", org_id=org.org_id, package_version=wish.package_version)
        return HandshakeAnswer(
            self._registry.ring.open(org.org_id, row["next_secret"]), row["conditions_version"]
        )

    async def get_conditions(self, request: web.Request) -> web.Response:
        """Answer with the fields that are worth a callout.

        Raises:
            Problem: 403 or 401, as for a callout.
        """
        org = self._door.connected_org(request)
        with self._door.proving(request, org, 0):
            self._door.verify(request, org, b"")
        return web.Response(
            body=msgspec.json.encode(Conditions(org.conditions_version, org.conditions)),
            content_type="application/json",
        )


class SecretRotation:
    """Makes a secret that was used for the first time the org's only one."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self._registry = registry
        self._pool = pool
        self._writing: dict[str, asyncio.Task[None]] = {}

    def next_secret_used(self, org: Org) -> None:
        """Retire the old secret here at once, and in the database without making anyone wait.

        If the database is away, or the secret is being encrypted anew, the registry's next reading
        brings the next secret back, and its next use comes here again.
        """
        self._registry.promote(org)
        if org.org_id not in self._writing:
            task = asyncio.create_task(self._write(org))
            self._writing[org.org_id] = task
            task.add_done_callback(lambda _: self._writing.pop(org.org_id))

    async def drain(self, timeout_s: float) -> None:
        """Return when nothing is being written, or after `timeout_s`: the next use writes again."""
        if self._writing:
            await asyncio.wait(self._writing.values(), timeout=timeout_s)

    async def _write(self, org: Org) -> None:
        try:
            await self._pool.execute(_RETIRE_OLD, org.org_id, org.stored_next)
        except DATABASE_ERRORS as error:
            log.warning("secret_rotation_held", org_id=org.org_id, error=error)
        else:
            log.info("secret_in_use", org_id=org.org_id)


def _decode(body: bytes) -> HandshakeRequest:
    try:
        return decode_body(body, _request_decoder)
    except NotJsonError as error:
        raise bad_request(f"the body is not JSON that can be read: {error}") from None
    except ContractError as error:
        raise unprocessable(error.place, error.problem) from None
