"""`POST /v1/orgs/{org_id}/audit`: which records an org has, for workers to compare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from ingest.changes import Accepted, accepted
from ingest.intake import checked, require_same_org
from pipeline import audit
from pipeline.envelope import Item, Kind
from pipeline.topology import audit_routing_key

if TYPE_CHECKING:
    from aiohttp import web

    from ingest.intake import Intake
    from ingest.requests import Requests

log = structlog.get_logger()


class AuditHandler:
    """Takes in what an org says it has."""

    def __init__(self, intake: Intake, requests: Requests) -> None:
        self._intake = intake
        self._requests = requests

    async def post(self, request: web.Request) -> web.Response:
        """Answer one audit callout once the broker has confirmed it.

        Raises:
            Problem: it is refused, with the contract's status.
        """
        received_at = time.time_ns() // 1_000_000
        callout_id = request.headers.get("webhook-id", "")
        with self._intake.hold() as held:
            org, (body, _) = await self._intake.admit(request, held)
            told = checked(audit.check, body)
            require_same_org(told.org_id, org)
            item = Item(callout_id, received_at, masked=False, body=body, kind=Kind.AUDIT)
            key = audit_routing_key(told.object)
            await self._intake.publish(org, told.object, 1, [item], key)
        count = len(told.records)
        log.info(
            "audit_accepted",
            org_id=org.org_id,
            callout_id=callout_id,
            object=told.object,
            record_count=count,
        )
        return accepted(
            Accepted(
                count,
                org.conditions_version,
                self._requests.of(org.org_id),
                self._requests.is_withdrawn(org.org_id, told.audit_id),
            )
        )
