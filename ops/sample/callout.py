"""Sends captures to an ingest as the Apex package does: compressed, signed, with Apex's headers."""

from __future__ import annotations

import gzip
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from pipeline.signing import signed_headers

if TYPE_CHECKING:
    from ops.sample.capture import Capture

# Apex's own defaults: 10 s for a callout, a form's content type where the code sets none.
TIMEOUT_S: Final = 10.0
_USER_AGENT: Final = "SFDC-Callout/65.0"
_CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
# gzip's default is 9: twice the time for hardly a smaller callout.
_GZIP_LEVEL: Final = 6
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def body(capture: Capture) -> bytes:
    """Return the callout's JSON: compact, UTF-8 without ASCII escapes, decimals as numbers."""
    return _ENCODER.encode(capture)


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """The body by which an org connects; its fields are the contract's keys."""

    version: int = 1
    org_id: str
    instance_url: str
    is_sandbox: bool
    user_id: str
    package_version: str


class Answer(msgspec.Struct, frozen=True):
    """What came back: `retry_after_s` if the answer named seconds, `sent_at` in Unix ms."""

    status: int
    body: bytes
    retry_after_s: float | None
    sent_at: int

    def decoded(self) -> dict[str, object]:
        """Return the body as the JSON object that every answer of the contract is.

        Raises:
            msgspec.DecodeError: it is something else, such as a proxy's error page.
        """
        return msgspec.json.decode(self.body, type=dict[str, object])


class Caller:
    """One org's sender. It retries nothing: what to do about an answer is for its user to say.

    `secret` (`whsec_…`) is None until a handshake succeeds, and replaced whenever one does.
    The session belongs to whoever made it. Every call raises `aiohttp.ClientError` or
    `TimeoutError` when no answer came within `TIMEOUT_S`; the callout may still have arrived.
    """

    def __init__(
        self, base_url: str, org_id: str, secret: str | None, session: aiohttp.ClientSession
    ) -> None:
        self.secret = secret
        self._org_id = org_id
        self._url = f"{base_url.rstrip('/')}/v1/orgs/{org_id}"
        self._session = session

    async def send(self, capture: Capture) -> Answer:
        """Post one capture. Its `webhook-id` is the capture's id, the same at every attempt.

        Raises:
            RuntimeError: there is no secret yet.
        """
        secret = self._secret_given()
        return await self._call("POST", "changes", secret, capture.capture_id, body(capture))

    async def handshake(
        self,
        connect_code: str,
        *,
        instance_url: str,
        is_sandbox: bool,
        user_id: str,
        package_version: str,
    ) -> Answer:
        """Connect the org; sign with the secret that a 200 brings from then on."""
        content = _ENCODER.encode(
            Handshake(
                org_id=self._org_id,
                instance_url=instance_url,
                is_sandbox=is_sandbox,
                user_id=user_id,
                package_version=package_version,
            )
        )
        answer = await self._call("POST", "handshake", connect_code, str(uuid.uuid4()), content)
        if answer.status == HTTPStatus.OK:
            self.secret = str(answer.decoded()["secret"])
        return answer

    async def conditions(self) -> Answer:
        """Fetch which fields' updates are worth a callout.

        Raises:
            RuntimeError: there is no secret yet.
        """
        secret = self._secret_given()
        return await self._call("GET", "conditions", secret, str(uuid.uuid4()), b"")

    def _secret_given(self) -> str:
        if self.secret is None:
            raise RuntimeError("the org is not connected: no handshake gave a secret yet")
        return self.secret

    async def _call(
        self, method: str, resource: str, secret: str, message_id: str, content: bytes
    ) -> Answer:
        sent_at_s = time.time()
        headers = signed_headers(secret, message_id, int(sent_at_s), content)
        headers |= {"User-Agent": _USER_AGENT, "SFDC_STACK_DEPTH": "1"}
        if content:
            headers |= {"Content-Type": _CONTENT_TYPE, "Content-Encoding": "gzip"}
        async with self._session.request(
            method,
            f"{self._url}/{resource}",
            data=gzip.compress(content, _GZIP_LEVEL, mtime=0) if content else None,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as response:
            return Answer(
                status=response.status,
                body=await response.read(),
                retry_after_s=_seconds(response.headers.get("Retry-After")),
                sent_at=int(sent_at_s * 1_000),
            )


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
