"""What every signed request goes through: who sends it, how much, and the broker's confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ingest.body import read_body
from ingest.problems import bad_request, forbidden, unavailable, unprocessable
from pipeline import callout
from pipeline.errors import BrokerUnavailable
from pipeline.objects import long_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from aiohttp import web

    from ingest.admission import Hold, InFlight, OrgRates
    from ingest.backlog import Backlog
    from ingest.body import Body
    from ingest.door import Door
    from ingest.grouping import Grouper
    from ingest.registry import Org
    from pipeline.broker import Publisher
    from pipeline.envelope import Item
    from pipeline.objects import SObject
    from pipeline.settings import Ingest

    T = TypeVar("T")


class Admitted(NamedTuple):
    """A request that is proven to come from its org and may be worked on."""

    org: Org
    body: Body


class Intake:
    """Takes requests in. Cheap refusals come first; the body is read only if it can be taken."""

    def __init__(  # noqa: PLR0913  the parts of the edge, wired once in `ingest.service`
        self,
        settings: Ingest,
        *,
        door: Door,
        rates: OrgRates,
        backlog: Backlog,
        in_flight: InFlight,
        publisher: Publisher,
        grouper: Grouper,
    ) -> None:
        self._settings = settings
        self._door = door
        self._rates = rates
        self._backlog = backlog
        self._in_flight = in_flight
        self._publisher = publisher
        self._grouper = grouper

    def hold(self) -> Hold:
        """Count what a request holds, for as long as it is worked on."""
        return self._in_flight.hold()

    async def admit(self, request: web.Request, held: Hold, *, to_publish: bool = True) -> Admitted:
        """Return a request's org and body.

        `to_publish`: it is refused before it is read while there is no broker.

        Raises:
            Problem: it is refused, with the contract's status.
        """
        org = self._door.connected_org(request)
        # A stranger who says to be an org learns of it no more than this, and costs it nothing.
        self._rates.check(org.org_id)
        if to_publish:
            self._backlog.check(org.org_id)
            if not self._publisher.connected:
                raise unavailable("not connected to RabbitMQ")
        with self._door.proving(request, org, self._settings.max_body_bytes) as max_bytes:
            body = await read_body(
                request,
                max_bytes=max_bytes,
                timeout_s=self._settings.body_timeout_s,
                held=held,
            )
            self._door.verify(request, org, body.text)
        # Only what is proven to come from the org counts against its rate.
        self._rates.admit(org.org_id)
        return Admitted(org, body)

    async def publish(
        self, org: Org, sobject: SObject, change_count: int, items: Sequence[Item], key: str
    ) -> None:
        """Return once the broker has confirmed every item.

        Raises:
            Problem: 429, too much of this org waits for workers; 503, the broker did not confirm,
                and copies may be stored (consumers dedupe).
        """
        admitted_ms = self._backlog.admit(org.org_id, sobject, change_count)
        try:
            await self._grouper.submit(items, key)
        except BrokerUnavailable as error:
            raise unavailable(str(error)) from error
        self._backlog.published(sobject, admitted_ms)


def checked(check: Callable[[bytes], T], body: bytes) -> T:
    """Return what `check` makes of a body.

    Raises:
        Problem: 400 it is not JSON, 422 it is not the contract; names the place.
    """
    try:
        return check(body)
    except callout.NotJsonError as error:
        raise bad_request(f"the body is not JSON that can be read: {error}") from None
    except callout.ContractError as error:
        raise unprocessable(error.place, error.problem) from None


def require_same_org(named: str, org: Org) -> None:
    """Refuse a body that names another org than the address.

    Raises:
        Problem: 403.
    """
    if long_id(named) != org.org_id:
        raise forbidden("the body names another org than the address (a refreshed sandbox?)")
