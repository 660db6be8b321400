"""`POST /v1/orgs/{org_id}/changes`: one callout, answered once the broker has confirmed it."""

from __future__ import annotations

import http
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web
from msgspec import Raw

from ingest.intake import checked, require_same_org
from pipeline import callout, json_text, metrics
from pipeline.envelope import Item
from pipeline.objects import Operation
from pipeline.topology import MAX_MESSAGE_BYTES, routing_key

if TYPE_CHECKING:
    from ingest.body import Body
    from ingest.intake import Intake
    from ingest.requests import Requests

log = structlog.get_logger()

_JSON: Final = {"Content-Type": "application/json"}
_encoder: Final = msgspec.json.Encoder()


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer 202: how many changes are safe, and the version of the org's conditions.

    What an org was asked for, and sends, is answered with what else it is asked for, and with
    whether it may stop.
    """

    accepted: int
    conditions_version: int
    requests: list[Raw] = []
    withdrawn: bool = False


class ChangesHandler:
    """Takes callouts in."""

    def __init__(self, intake: Intake, requests: Requests) -> None:
        self._intake = intake
        self._requests = requests

    async def post(self, request: web.Request) -> web.Response:
        """Answer one callout.

        Raises:
            Problem: it is refused, with the contract's status; nothing of it was kept, but for
                503, after which a copy may be stored (consumers dedupe).
        """
        started = time.monotonic()
        received_at = time.time_ns() // 1_000_000
        callout_id = request.headers.get("webhook-id", "")
        with self._intake.hold() as held:
            org, body = await self._intake.admit(request, held)
            # Masked first: the parser refuses half a surrogate pair, the contract does not.
            text = json_text.mask(body.text)
            told = checked(callout.check, text)
            require_same_org(told.org_id, org)
            items = _items(callout_id, received_at, body, text)
            # A text is up to a hundred times what is published: it need not wait for the confirm.
            del body, text
            if told.changes:
                key = routing_key(told.object, told.operation)
                await self._intake.publish(org, told.object, len(told.changes), items, key)
        seconds = time.monotonic() - started
        metrics.changes_accepted.labels(told.object).inc(len(told.changes))
        metrics.callout_seconds.observe(seconds)
        log.info(
            "callout_accepted",
            org_id=org.org_id,
            callout_id=callout_id,
            capture_id=told.capture_id,
            routing_key=routing_key(told.object, told.operation),
            change_count=len(told.changes),
            took_ms=round(seconds * 1000, 1),
        )
        is_asked_for = told.operation is Operation.SNAPSHOT
        return accepted(
            Accepted(
                len(told.changes),
                org.conditions_version,
                self._requests.of(org.org_id) if is_asked_for else [],
                self._requests.is_withdrawn(org.org_id, told.request_id),
            )
        )


def _items(callout_id: str, received_at: int, body: Body, masked_text: bytes) -> list[Item]:
    """Return what is published of a callout: the gzip that it came as, or slices of its text."""
    is_masked = masked_text is not body.text
    if body.gzipped is not None:
        whole = Item(
            callout_id, received_at, is_masked, body.gzipped, inflated_bytes=len(body.text)
        )
        if whole.weight_bytes <= MAX_MESSAGE_BYTES:
            return [whole]
    return [
        Item(callout_id, received_at, is_masked, part)
        for part in callout.slices(masked_text, MAX_MESSAGE_BYTES)
    ]


def accepted(answer: Accepted) -> web.Response:
    """Return the answer 202."""
    return web.Response(
        status=http.HTTPStatus.ACCEPTED,
        body=_encoder.encode(answer),
        headers=_JSON,
    )
