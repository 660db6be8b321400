"""Who is at the door: the org in the address, and the proof that the request comes from it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from ingest.problems import Problem, forbidden, unauthorized, unavailable
from pipeline import signing
from pipeline.objects import is_salesforce_id, long_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from ingest.registry import Org, Registry

log = structlog.get_logger()

UNREADABLE: Final = "a secret of this org cannot be read here: a key is missing"


class Door:
    """Finds the org that a request is for and checks its signature."""

    def __init__(
        self,
        registry: Registry,
        on_next_secret_used: Callable[[Org], None],
        on_heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._on_next_secret_used = on_next_secret_used
        self._on_heard = on_heard

    def org(self, request: web.Request) -> Org:
        """Return the org in the address.

        Raises:
            Problem: 403 if it does not exist, 503 if that cannot be told now.
        """
        org_id = request.match_info["org_id"]
        org = self._registry.get(long_id(org_id)) if is_salesforce_id(org_id) else None
        if org is not None:
            return org
        if self._registry.stale:
            raise unavailable("this org is not known here, and the org registry is out of date")
        raise forbidden("this org is not known: add it with `penstock org add`")

    def connected_org(self, request: web.Request) -> Org:
        """Return the org in the address if its callouts are welcome.

        Raises:
            Problem: 403 if it is unknown, paused or not connected, 503 if that cannot be told.
        """
        org = self.org(request)
        if org.paused:
            raise forbidden("this org is paused")
        if not org.connected and org.unreadable is not None:
            raise unavailable(UNREADABLE)
        if not org.connected:
            raise forbidden("this org is not connected yet: its Sync User has to shake hands")
        return org

    def verify(self, request: web.Request, org: Org, body: bytes) -> None:
        """Check a request against the org's live secrets.

        Raises:
            Problem: 401, the signature is missing, wrong or out of time; 503 instead while a
                secret of the org cannot be read, which may be the one.
        """
        try:
            index = verify_signature(request, org.keys, body)
        except Problem as problem:
            raise problem if org.unreadable is None else unavailable(UNREADABLE) from None
        self._on_heard(org.org_id)
        if org.next_secret is not None and index == len(org.keys) - 1:
            self._on_next_secret_used(org)


def verify_signature(request: web.Request, keys: Sequence[bytes], body: bytes) -> int:
    """Return the index of the key that signed the request.

    Raises:
        Problem: 401, the signature is missing, wrong or out of time.
    """
    try:
        return signing.verify(
            keys=keys,
            message_id=request.headers.get("webhook-id"),
            timestamp=request.headers.get("webhook-timestamp"),
            signatures=request.headers.get("webhook-signature"),
            body=body,
            now_s=time.time(),
        )
    except signing.InvalidSignature as error:
        raise unauthorized(str(error)) from None
