"""`POST /v1/orgs/{org_id}/heartbeat`: what an org tells of itself, and what it is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta, Raw

from ingest.intake import checked, require_same_org
from ingest.problems import unavailable
from pipeline import metrics
from pipeline.callout import RequestId, SalesforceId, UnixMs, decode_body
from pipeline.database import DATABASE_ERRORS

if TYPE_CHECKING:
    from ingest.intake import Intake
    from ingest.requests import Requests
    from pipeline.database import Pool

log = structlog.get_logger()

_Version = Annotated[str, Meta(pattern="^[\\x20-\\x7e]{0,64}\\Z")]
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_MAX_ACKNOWLEDGED: Final = 1000

_KEEP: Final = """
    INSERT INTO heartbeat (org_id, heard_at, beat_at, package_version, api_version, clock_skew_ms,
                           parked_count, overflow_count, async_used_count, async_limit_count,
                           conditions_version)
    VALUES ($1, statement_timestamp(), statement_timestamp(), $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (org_id) DO UPDATE
    SET heard_at = excluded.heard_at, beat_at = excluded.beat_at,
        package_version = excluded.package_version, api_version = excluded.api_version,
        clock_skew_ms = excluded.clock_skew_ms, parked_count = excluded.parked_count,
        overflow_count = excluded.overflow_count, async_used_count = excluded.async_used_count,
        async_limit_count = excluded.async_limit_count,
        conditions_version = excluded.conditions_version"""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """What the package knows of its org. `clock` is its time, Unix ms.

    `parked` rows are to be tried again, `overflow` ones wait for a person. `async_used` of
    `async_limit` asynchronous executions of the last 24 hours are used. `acknowledged` requests are
    fulfilled: whatever they asked for was accepted.
    """

    version: Literal[1]
    org_id: SalesforceId
    package_version: _Version
    api_version: _Version
    clock: UnixMs
    parked: _Count
    overflow: _Count
    async_used: _Count
    async_limit: _Count
    conditions_version: _Count
    acknowledged: Annotated[list[RequestId], Meta(max_length=_MAX_ACKNOWLEDGED)] = []


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    """What the org should know: the version of its conditions, and what it is asked to send."""

    conditions_version: int
    requests: list[Raw]


_decoder: Final = msgspec.json.Decoder(Heartbeat)


class HeartbeatHandler:
    """Keeps heartbeats. Its answers come from the database, so that a cursor in them is exact."""

    def __init__(self, intake: Intake, requests: Requests, pool: Pool) -> None:
        self._intake = intake
        self._requests = requests
        self._pool = pool

    async def post(self, request: web.Request) -> web.Response:
        """Keep a heartbeat, note which requests are fulfilled, and answer with those that are open.

        Raises:
            Problem: it is refused, with the contract's status; 503 while the database is away.
        """
        with self._intake.hold() as held:
            org, (body, _) = await self._intake.admit(request, held, to_publish=False)
            beat = checked(lambda text: decode_body(text, _decoder), body)
            require_same_org(beat.org_id, org)
        skew_ms = beat.clock - time.time_ns() // 1_000_000
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    _KEEP,
                    org.org_id,
                    beat.package_version,
                    beat.api_version,
                    skew_ms,
                    beat.parked,
                    beat.overflow,
                    beat.async_used,
                    beat.async_limit,
                    beat.conditions_version,
                )
                asked = await self._requests.acknowledge(connection, org.org_id, beat.acknowledged)
        except DATABASE_ERRORS as error:
            log.warning("heartbeat_held", org_id=org.org_id, error=error)
            raise unavailable("the database is away") from error
        metrics.org_clock_skew_seconds.observe(abs(skew_ms) / 1000)
        log.info(
            "heartbeat",
            org_id=org.org_id,
            package_version=beat.package_version,
            parked_count=beat.parked,
            overflow_count=beat.overflow,
            clock_skew_ms=skew_ms,
            request_count=len(asked),
        )
        return web.Response(
            body=msgspec.json.encode(HeartbeatAnswer(org.conditions_version, asked)),
            content_type="application/json",
        )
