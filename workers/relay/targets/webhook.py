"""The webhook target: one signed request per row, with an idempotency key.

The operator's own webhook hears of enrolments; a rule's webhook is told that the rule fired.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, assert_never

import aiohttp
import msgspec

from pipeline.json_text import decode_fields, encode_masked, unmask
from pipeline.signing import signed_headers
from workers.relay.claim import RowKind
from workers.relay.guard import AddressRefused
from workers.relay.targets import http
from workers.relay.targets.answers import Delivered, Gone, Refused
from workers.relay.targets.kinds import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.settings import Relay
    from workers.relay.claim import Claim
    from workers.relay.targets.answers import Answer

# Requests of several rows are one each, so that a claim need not be larger than a few of them.
_CLAIMS_PER_S: Final = 4


class WebhookTarget:
    """Delivers to one URL, the operator's or a rule's. Redirects are not followed."""

    def __init__(
        self, settings: Relay, session: aiohttp.ClientSession, rule_url: str | None = None
    ) -> None:
        self._settings = settings
        self._session = session
        self._url = settings.webhook_url if rule_url is None else rule_url
        self._is_rules = rule_url is not None
        self._kind = TargetKind.CALL if self._is_rules else TargetKind.WEBHOOK
        # What is claimed is sent within a fraction of a second, as it was then looked at.
        self.claim_count = min(
            settings.batch_count, max(1, round(settings.requests_per_s / _CLAIMS_PER_S))
        )

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        """Return claims as they go out: one by one."""
        return [[claim] for claim in claims]

    async def deliver(self, batch: Sequence[Claim]) -> list[Answer]:
        """Tell the target of one row. Unreachable and slow targets are held, not errors."""
        return [await self._deliver(claim) for claim in batch]

    async def _deliver(self, claim: Claim) -> Answer:
        body = payload(claim)
        headers = signed_headers(
            self._settings.webhook_secret.value, claim.idempotency_key, int(time.time()), body
        )
        headers |= {"Content-Type": "application/json", "Idempotency-Key": claim.idempotency_key}
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            ) as response:
                http.count_answer(self._kind, response.status)
                return _read(response)
        except (*http.UNREACHABLE, UnicodeError) as error:
            http.count_answer(self._kind, None)
            # A host that cannot be written in DNS raises UnicodeError.
            if self._is_rules and isinstance(error, aiohttp.InvalidURL | UnicodeError):
                return Refused("the rule's webhook is not a URL that can be called")
            if self._is_rules and http.is_refused_address(error):
                return Refused(f"the rule's webhook is not called: {AddressRefused()}")
            return http.unreachable(error)


def payload(claim: Claim) -> bytes:
    """Return the body that tells of a row, in the form of Standard Webhooks."""
    document = {
        "type": _event_type(claim.kind),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claim.created_at_s)),
        "data": _data(claim),
    }
    return unmask(encode_masked(document).encode())


def _event_type(kind: RowKind) -> str:
    match kind:
        case RowKind.ADD:
            return "sequence.recipient.added"
        case RowKind.EXIT:
            return "sequence.recipient.removed"
        case RowKind.CALL:
            return "rule.fired"
        case _:
            assert_never(kind)


def _data(claim: Claim) -> object:
    if claim.kind is RowKind.CALL:
        return msgspec.Raw((claim.payload or "{}").encode())
    data: dict[str, object] = {
        "enrollment_id": claim.enrollment and claim.enrollment.enrollment_id,
        "generation": claim.generation,
        "org_id": claim.org_id,
        "sequence": claim.sequence,
        "recipient": claim.recipient,
    }
    if claim.enrollment is not None and claim.kind is RowKind.ADD:
        data["variables"] = decode_fields(claim.enrollment.variables.encode())
    if claim.enrollment is not None and claim.kind is RowKind.EXIT:
        data["reason"] = claim.enrollment.reason
    return data | msgspec.structs.asdict(claim.cause)


def _read(response: aiohttp.ClientResponse) -> Answer:
    if http.is_success(response.status):
        return Delivered()
    error = f"the target answered {response.status}"
    if response.status == HTTPStatus.GONE:
        return Gone(error)
    if response.status in http.REFUSALS:
        return Refused(error)
    return http.held(response)
