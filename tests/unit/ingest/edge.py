"""The edge of ingest between doubles: no socket, no broker, and no database but one given."""

from __future__ import annotations

import gzip
import json
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ingest.admission import InFlight, OrgRates
from ingest.audits import AuditHandler
from ingest.backlog import Backlog
from ingest.changes import ChangesHandler
from ingest.door import Door
from ingest.grouping import Grouper
from ingest.heartbeats import HeartbeatHandler
from ingest.intake import Intake
from ingest.problems import Problem
from ingest.registry import Org, Registry
from ingest.requests import Requests
from pipeline.broker import Publisher
from pipeline.settings import Ingest, Secret
from pipeline.signing import key_of, new_secret, signed_headers
from tests.arrived import post

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection, Pool
    from pipeline.envelope import Item

ORG_ID = "00D5g000004XyzAEAS"
SECRET = new_secret()
ORG = Org(
    org_id=ORG_ID,
    sync_user_id="0055g00000AbCdEAAV",
    secret=SECRET,
    next_secret=None,
    connect_code=None,
    connect_code_expires_s=None,
    paused=False,
    conditions=msgspec.Raw(b"{}"),
    conditions_version=7,
    keys=(key_of(SECRET),),
)


class Connected(Publisher):
    """A publisher whose broker is there, or is not."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__(Secret(""), "test", 1)
        self._is_connected = connected

    @property
    def connected(self) -> bool:
        return self._is_connected


class Group:
    """Stands in for the grouper: remembers what is submitted, and how that ends."""

    def __init__(self, outcome: Exception | None = None) -> None:
        self.submitted: list[tuple[str, Sequence[Item]]] = []
        self._outcome = outcome

    async def submit(self, items: Sequence[Item], routing_key: str) -> None:
        self.submitted.append((routing_key, items))
        if self._outcome is not None:
            raise self._outcome


class Known(Registry):
    def __init__(self) -> None:
        super().__init__(Secret(""))
        self._orgs = {ORG_ID: ORG}


class Asked:
    """Stands in for a connection: has what orgs are asked for, as rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = [{"since": None, "record_ids": None, "cursor": "", **row} for row in rows]

    async def fetch(self, *_: object) -> list[dict[str, Any]]:
        return self._rows


class Edge:
    """The handlers between their doubles."""

    def __init__(
        self,
        group: Group | Grouper | None = None,
        *,
        connected: bool = True,
        pool: Pool | None = None,
        door: Door | None = None,
        **settings: Any,
    ) -> None:
        self.group = group if isinstance(group, Group) else Group()
        self.in_flight = InFlight(10**8)
        self.settings = chosen = Ingest(**settings)
        self.backlog = Backlog(chosen.backlog_s, "source")
        self.requests = Requests()
        self.intake = Intake(
            chosen,
            door=door or Door(Known(), lambda _: None),
            rates=OrgRates(chosen.org_callouts_per_s),
            backlog=self.backlog,
            in_flight=self.in_flight,
            publisher=Connected(connected=connected),
            grouper=group if isinstance(group, Grouper) else cast("Grouper", self.group),
        )
        self._handlers = {
            "changes": ChangesHandler(self.intake, self.requests).post,
            "audit": AuditHandler(self.intake, self.requests).post,
            "heartbeat": HeartbeatHandler(self.intake, self.requests, cast("Pool", pool)).post,
        }

    async def ask(self, *rows: dict[str, Any]) -> None:
        """Have the org asked for something."""
        org_rows = ({"org_id": ORG_ID, **row} for row in rows)
        await self.requests.read(cast("Connection", Asked(*org_rows)))

    async def post(
        self,
        body: bytes,
        route: str = "changes",
        *,
        secret: str = SECRET,
        compressed: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        """Post a signed callout; return the status of the answer and what it says."""
        headers = signed_headers(secret, "msg_1", int(time.time()), body)
        if compressed:
            headers["Content-Encoding"] = "gzip"
        request = post(gzip.compress(body) if compressed else body, headers, ORG_ID)
        try:
            response = await self._handlers[route](request)
        except Problem as problem:
            return problem.status, {
                "detail": problem.detail,
                "place": problem.place,
                "retry": problem.retry_after_s,
            }
        finally:
            assert self.in_flight.held_bytes == 0
        assert isinstance(response.body, bytes)
        return response.status, json.loads(response.body)

    @property
    def items(self) -> list[Item]:
        return [item for _, items in self.group.submitted for item in items]
