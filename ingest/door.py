"""Who is at the door: the org in the address, and the proof that the request comes from it."""

from __future__ import annotations

import http
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from ingest.failed_signatures import FailedSignatures, Over
from ingest.problems import Problem, forbidden, too_many, unauthorized, unavailable
from pipeline import metrics, signing
from pipeline.client_address import client_address
from pipeline.objects import is_salesforce_id, long_id
from pipeline.settings import Ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiohttp import web

    from ingest.registry import Org, Registry
    from pipeline.client_address import Networks

log = structlog.get_logger()

UNREADABLE: Final = "a secret of this org cannot be read here: a key is missing"
# What may be read of a stranger: a callout of a few records, at the cost of an answer or two.
_SMALL_BODY_BYTES: Final = 64 * 1024
# What is refused of a request before it is proven, and cost something.
_UNPROVEN: Final = frozenset(
    {
        http.HTTPStatus.BAD_REQUEST,
        http.HTTPStatus.UNAUTHORIZED,
        http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }
)
_WHENCE: Final = {Over.ADDRESS: "from this address", Over.ORG: "in this org's name"}


class Door:
    """Finds the org that a request is for and checks its signature."""

    def __init__(
        self,
        registry: Registry,
        on_next_secret_used: Callable[[Org], None],
        on_heard: Callable[[str], None] = lambda _: None,
        failures: FailedSignatures | None = None,
        trusted: Networks = (),
    ) -> None:
        self._registry = registry
        self._on_next_secret_used = on_next_secret_used
        self._on_heard = on_heard
        self._failures = failures or FailedSignatures(Ingest().failed_signatures_per_minute)
        self._trusted = trusted

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
        # One line for all of an address: whoever asks makes ids up.
        raise self.forbid(request, "", "this org is not known: add it with `penstock org add`")

    def connected_org(self, request: web.Request) -> Org:
        """Return the org in the address if its callouts are welcome.

        Raises:
            Problem: 403 if it is unknown, paused or not connected, 503 if that cannot be told.
        """
        org = self.org(request)
        if org.paused:
            raise self.forbid(request, org.org_id, "this org is paused")
        if not org.connected and org.unreadable is not None:
            raise unavailable(UNREADABLE)
        if not org.connected:
            raise self.forbid(
                request,
                org.org_id,
                "this org is not connected yet: its Sync User has to shake hands",
            )
        return org

    def forbid(self, request: web.Request, org_id: str, detail: str) -> Problem:
        """Return the refusal of what nobody has proven; told of once a minute."""
        problem = forbidden(detail)
        problem.is_told = not self._failures.to_tell(org_id, self._address(request))
        return problem

    @contextmanager
    def proving(self, request: web.Request, org: Org, max_bytes: int) -> Iterator[int]:
        """Read and check a request in this block: yield how many bytes of it may be read.

        What the block refuses for its signature or its body counts as not proven. While too much
        is not, that is refused with 429; and where the org was not heard before, only a small body
        is read, and none without a signature that could be one.

        Raises:
            Problem: the block's own, or 429 in its place.
        """
        address = self._address(request)
        over = self._failures.over(org.org_id, address)
        is_suspect = over is not Over.NEITHER and not self._failures.is_known(org.org_id, address)
        try:
            if is_suspect:
                _require_signature(request)
            yield min(max_bytes, _SMALL_BODY_BYTES) if is_suspect else max_bytes
        except Problem as problem:
            if problem.status in _UNPROVEN:
                raise self._unproven(org.org_id, address, over, problem) from None
            raise
        self._failures.proved(org.org_id, address)

    def _unproven(self, org_id: str, address: str, over: Over, problem: Problem) -> Problem:
        self._failures.failed(org_id, address)
        metrics.failed_signatures.labels(over).inc()
        if over is not Over.NEITHER:
            problem = too_many(
                f"too much {_WHENCE[over]} is not proven to be an org's own; of this: "
                + problem.detail,
                self._failures.wait_s(org_id, address),
            )
        if count := self._failures.to_tell(org_id, address):
            log.warning(
                "signature_failed",
                org_id=org_id,
                address=address,
                status=problem.status.value,
                detail=problem.detail,
                request_count=count,
            )
        problem.is_told = True
        return problem

    def _address(self, request: web.Request) -> str:
        forwarded = request.headers.getall("X-Forwarded-For", ())
        return client_address(request.remote, forwarded, self._trusted)

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


def _require_signature(request: web.Request) -> None:
    """Refuse what has no signature of this time, whatever its body says.

    Raises:
        Problem: 401.
    """
    headers = request.headers
    try:
        signing.offered(
            headers.get("webhook-id"),
            headers.get("webhook-timestamp"),
            headers.get("webhook-signature"),
            time.time(),
        )
    except signing.InvalidSignature as error:
        raise unauthorized(str(error)) from None
