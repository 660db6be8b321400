"""A sender that nobody here wrote: callouts signed with the `standardwebhooks` package."""

from __future__ import annotations

import datetime as dt
import gzip
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from standardwebhooks.webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import aiohttp

    from tests.processes import PenstockProcesses

ORG_ID: Final = "00D5g000004XyzAEAS"
SYNC_USER_ID: Final = "0055g00000AbCdEAAV"
LEAD_ID: Final = "00Q5g00000HotLdEAJ"

RULE: Final = """\
rule: hot-leads-to-nurture
object: Lead
on: [insert, update]
when:
  - {field: Status, changed_to: Qualified}
  - any:
      - {field: Rating, equals: Hot}
      - {field: AnnualRevenue, at_least: 1000000}
then:
  - add_to_sequence: nurture
    recipient: Email
    variables: {first_name: FirstName}
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def callout(changes: Sequence[Mapping[str, Any]], **keys: Any) -> dict[str, Any]:
    """Return the contract's body: an update of Leads captured now, unless `keys` say otherwise."""
    return {
        "version": 1,
        "org_id": ORG_ID,
        "object": "Lead",
        "operation": "update",
        "capture_id": str(uuid.uuid4()),
        "transaction_id": uuid.uuid4().hex[:15],
        "sequence": 0,
        "captured_at": now_ms(),
        "actor_id": "0055g00000OtherAAA",
        "changes": list(changes),
        **keys,
    }


def sign(
    secret: str, body: bytes, *, message_id: str | None = None, at_s: float | None = None
) -> dict[str, str]:
    """Return the three headers, made by the reference implementation."""
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    at = dt.datetime.fromtimestamp(int(time.time() if at_s is None else at_s), tz=dt.UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }


class Salesforce:
    """An org connected to a running ingest."""

    def __init__(self, penstock: PenstockProcesses, secret: str, org_id: str = ORG_ID) -> None:
        self.secret = secret
        self.connect_code = ""
        self.org_id = org_id
        self._penstock = penstock

    @classmethod
    async def connect(
        cls, penstock: PenstockProcesses, org_id: str = ORG_ID, rules: str = RULE
    ) -> Self:
        """Register an org, shake hands as its Sync User, apply rules."""
        added = (
            await penstock.run("org", "add", org_id, "--sync-user", SYNC_USER_ID, "--json")
        ).json()
        org = cls(penstock, "", org_id)
        org.connect_code = added["connect_code"]
        org.secret = await org.shake_hands(org.connect_code)
        if rules:
            applied = await penstock.run("rules", "apply", "-", "--org", org_id, stdin=rules)
            assert applied.returncode == 0, applied.stderr
        return org

    async def shake_hands(self, connect_code: str) -> str:
        """Return the secret that the handshake gives; ingest hears of the code by notification."""
        body = msgspec.json.encode(
            {
                "version": 1,
                "org_id": self.org_id,
                "instance_url": "https://example.my.salesforce.com",
                "is_sandbox": False,
                "user_id": SYNC_USER_ID,
                "package_version": "0.1.0",
            }
        )
        deadline = time.monotonic() + 10
        while True:
            async with await self.post("handshake", body, sign(connect_code, body)) as response:
                if response.status == 200:
                    return str((await response.json())["secret"])
                assert time.monotonic() < deadline, await response.text()

    async def post(
        self, route: str, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Post bytes as they are."""
        url = f"{self._penstock.ingest_url}/v1/orgs/{self.org_id}/{route}"
        return await self._penstock.session.post(url, data=body, headers=headers)

    async def send(
        self,
        document: object,
        *,
        compressed: bool = False,
        **signing: Any,
    ) -> aiohttp.ClientResponse:
        """Sign and post a callout; return the answer, read."""
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        headers = sign(self.secret, body, **signing)
        if compressed:
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        response = await self.post("changes", body, headers)
        await response.read()
        return response

    async def accepted(self, document: object, **signing: Any) -> None:
        """Send a callout that has to be answered 202."""
        response = await self.send(document, **signing)
        assert response.status == 202, await response.text()
