"""The webhook target: one signed request per enrolment, with an idempotency key."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp

from pipeline.json_text import decode_fields, encode_masked, unmask
from pipeline.signing import signed_headers

if TYPE_CHECKING:
    from pipeline.settings import Relay
    from workers.relay.outbox import Claim

# Statuses that blame the request itself. All others may pass: a target that is down, or one
# that an operator has configured wrongly for now.
_REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_MAX_RETRY_AFTER_S: Final = 3600


class Delivered(NamedTuple):
    """The target took it."""


class Refused(NamedTuple):
    """The target will never take it."""

    error: str


class Held(NamedTuple):
    """The target could not take it now; it may ask for a pause, in seconds."""

    error: str
    retry_after_s: float | None


Answer = Delivered | Refused | Held


class WebhookTarget:
    """Delivers to one URL. Redirects are not followed."""

    def __init__(self, settings: Relay, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session

    async def deliver(self, claim: Claim) -> Answer:
        """Tell the target of one enrolment. Unreachable and slow targets are held, not errors."""
        body = payload(claim)
        headers = signed_headers(
            self._settings.webhook_secret.value, claim.idempotency_key, int(time.time()), body
        )
        headers |= {"Content-Type": "application/json", "Idempotency-Key": claim.idempotency_key}
        try:
            async with self._session.post(
                self._settings.webhook_url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            ) as response:
                return _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Held(f"the target cannot be reached: {type(error).__name__}", None)


def payload(claim: Claim) -> bytes:
    """Return the body that tells of an enrolment, in the form of Standard Webhooks."""
    enrollment = claim.enrollment
    document = {
        "type": "sequence.recipient.added",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claim.created_at_s)),
        "data": {
            "enrollment_id": enrollment.enrollment_id,
            "generation": claim.generation,
            "org_id": enrollment.org_id,
            "sequence": enrollment.sequence,
            "recipient": enrollment.recipient,
            "variables": decode_fields(enrollment.variables.encode()),
            "rule": enrollment.rule,
            "rule_version": enrollment.rule_version,
            "object": enrollment.object,
            "record_id": enrollment.record_id,
            "capture_id": enrollment.capture_id,
            "captured_at": enrollment.captured_at,
        },
    }
    return unmask(encode_masked(document).encode())


def _read(response: aiohttp.ClientResponse) -> Answer:
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered()
    error = f"the target answered {response.status}"
    if response.status in _REFUSALS:
        return Refused(error)
    asked = response.headers.get("Retry-After", "")
    # So many digits are past the most in any case, and Python refuses to read thousands.
    pause_s = float(min(int(asked[:9]), _MAX_RETRY_AFTER_S)) if asked.isdecimal() else None
    return Held(error, pause_s)
