"""`POST /v1/orgs/{org_id}/changes`: one callout, answered once the broker has confirmed it."""

from __future__ import annotations

import asyncio
import http
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web

from ingest.body import read_body
from ingest.problems import bad_request, forbidden, unavailable, unprocessable
from pipeline import callout, json_text, metrics
from pipeline.envelope import Item
from pipeline.errors import BrokerUnavailable
from pipeline.objects import long_id
from pipeline.topology import MAX_MESSAGE_BYTES, routing_key

if TYPE_CHECKING:
    from ingest.admission import InFlight, OrgRates
    from ingest.door import Door
    from ingest.grouping import Grouper
    from pipeline.broker import Publisher
    from pipeline.callout import CheckedCallout
    from pipeline.settings import Ingest

log = structlog.get_logger()

_encoder: Final = msgspec.json.Encoder()


class Accepted(msgspec.Struct, frozen=True):
    """The answer 202: how many changes are safe, and the version of the org's conditions."""

    accepted: int
    conditions_version: int


class ChangesHandler:
    """Takes callouts in. Cheap refusals come first; the body is read only if it can be taken."""

    def __init__(  # noqa: PLR0913  the parts of the edge, wired once in `ingest.service`
        self,
        settings: Ingest,
        *,
        door: Door,
        rates: OrgRates,
        in_flight: InFlight,
        publisher: Publisher,
        grouper: Grouper,
    ) -> None:
        self._settings = settings
        self._door = door
        self._rates = rates
        self._in_flight = in_flight
        self._publisher = publisher
        self._grouper = grouper

    async def post(self, request: web.Request) -> web.Response:
        """Answer one callout.

        Raises:
            Problem: it is refused, with the contract's status; nothing of it was kept, but for
                503, after which a copy may be stored (consumers dedupe).
        """
        started = time.monotonic()
        received_at = time.time_ns() // 1_000_000
        org = self._door.connected_org(request)
        if not self._publisher.connected:
            raise unavailable("not connected to RabbitMQ")
        with self._in_flight.hold() as held:
            body = await read_body(
                request,
                max_bytes=self._settings.max_body_bytes,
                timeout_s=self._settings.body_timeout_s,
                held=held,
            )
            self._door.verify(request, org, body)
            # Only what is proven to come from the org counts against its rate.
            self._rates.admit(org.org_id)
            # Masked first: the parser refuses half a surrogate pair, the contract does not.
            text = json_text.mask(body)
            checked = _check(text, org.org_id)
            items = [
                Item(request.headers["webhook-id"], received_at, text is not body, part)
                for part in callout.slices(text, MAX_MESSAGE_BYTES)
            ]
            if checked.changes:
                await self._publish(checked, items)
        seconds = time.monotonic() - started
        metrics.changes_accepted.labels(checked.object).inc(len(checked.changes))
        metrics.callout_seconds.observe(seconds)
        log.info(
            "callout_accepted",
            org_id=org.org_id,
            callout_id=request.headers["webhook-id"],
            capture_id=checked.capture_id,
            routing_key=routing_key(checked.object, checked.operation),
            change_count=len(checked.changes),
            took_ms=round(seconds * 1000, 1),
        )
        answer = Accepted(len(checked.changes), org.conditions_version)
        return web.Response(
            status=http.HTTPStatus.ACCEPTED,
            body=_encoder.encode(answer),
            content_type="application/json",
        )

    async def _publish(self, checked: CheckedCallout, items: list[Item]) -> None:
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                await self._grouper.submit(items, routing_key(checked.object, checked.operation))
        except TimeoutError:
            raise unavailable("RabbitMQ did not confirm in time") from None
        except BrokerUnavailable as error:
            raise unavailable(str(error)) from error


def _check(body: bytes, org_id: str) -> CheckedCallout:
    try:
        checked = callout.check(body)
    except callout.NotJsonError as error:
        raise bad_request(f"the body is not JSON that can be read: {error}") from None
    except callout.ContractError as error:
        raise unprocessable(error.place, error.problem) from None
    if long_id(checked.org_id) != org_id:
        raise forbidden("the body names another org than the address (a refreshed sandbox?)")
    return checked
