"""The relay against a target that fails in every way: told once, in the end, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from ops.stack.ports import free_port
from tests.load import Load
from tests.salesforce import Salesforce, callout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import PenstockProcesses

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
SETTLED: Final = "SELECT count(*) FROM outbox WHERE state = $1"


class Target:
    """Takes what is signed, honours the idempotency key, and fails where it was told to."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/enrollments"
        # Idempotency keys by recipient, one for each time that they were taken.
        self.taken: defaultdict[str, list[str]] = defaultdict(list)
        # When each request for a recipient came, on the monotonic clock.
        self.requested_at: defaultdict[str, list[float]] = defaultdict(list)
        self.keys: set[str] = set()
        self.fails: dict[str, list[str]] = {}
        self.hanging = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        key = request.headers["Idempotency-Key"]
        recipient = msgspec.json.decode(body)["data"]["recipient"]
        self.requested_at[recipient].append(time.monotonic())
        match self.fails.get(recipient, []):
            case ["lost answer", *rest]:
                self.fails[recipient] = rest
                self._keep(recipient, key)
                assert request.transport is not None
                request.transport.abort()
            case ["hang", *rest]:
                self.fails[recipient] = rest
                self.hanging.set()
                await asyncio.Event().wait()
            case [status, *rest]:
                self.fails[recipient] = rest
                asked = {"Retry-After": "3"} if status == "429" else {}
                return web.Response(status=int(status), headers=asked)
            case _:
                self._keep(recipient, key)
        return web.Response(status=204)

    def _keep(self, recipient: str, key: str) -> None:
        self.taken[recipient].append(key)
        self.keys.add(key)

    def pauses_s(self, recipient: str) -> list[float]:
        at = self.requested_at[recipient]
        return [later - earlier for earlier, later in itertools.pairwise(at)]


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    app = web.Application()
    app.router.add_post("/enrollments", target.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = int(target.url.rpartition(":")[2].partition("/")[0])
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield target
    finally:
        await runner.cleanup()


@pytest.fixture
async def org(penstock: PenstockProcesses, target: Target) -> Salesforce:
    penstock.environment["PENSTOCK_RELAY__WEBHOOK_URL"] = target.url
    penstock.environment["PENSTOCK_RELAY__WEBHOOK_SECRET"] = SECRET
    await penstock.start_ingest()
    await penstock.start_worker("lead")
    return await Salesforce.connect(penstock)


async def enroll(org: Salesforce, *recipients: str) -> None:
    changes: list[dict[str, Any]] = [
        {"new": {"Id": f"00Q5g0001{n:06d}", "Status": "Qualified", "Rating": "Hot", "Email": email}}
        for n, email in enumerate(recipients)
    ]
    await org.accepted(callout(changes, operation="insert"))


async def test_an_enrolment_is_delivered_as_it_is_committed_and_not_at_the_next_look(
    penstock: PenstockProcesses, org: Salesforce, target: Target
) -> None:
    await penstock.start_relay(PENSTOCK_RELAY__POLL_S="3600")
    for email in ("ana@example.com", "bo@example.com"):
        await enroll(org, email)
        await penstock.until_counted(1, f"{SETTLED} AND recipient = $2", "delivered", email)
    assert set(target.taken) == {"ana@example.com", "bo@example.com"}


async def test_a_target_that_fails_is_told_again_later_and_refusals_are_final(
    penstock: PenstockProcesses, org: Salesforce, target: Target
) -> None:
    target.fails = {
        "down@example.com": ["500"],
        "busy@example.com": ["429"],
        "moved@example.com": ["307"],
        "lost@example.com": ["lost answer"],
        "refused@example.com": ["422"],
    }
    await penstock.start_relay()
    await enroll(org, "good@example.com", *target.fails)
    await penstock.until_counted(5, SETTLED, "delivered")
    await penstock.until_counted(1, SETTLED, "failed")

    assert target.pauses_s("good@example.com") == []
    assert target.pauses_s("refused@example.com") == []
    for recipient in ("down@example.com", "moved@example.com", "lost@example.com"):
        (pause_s,) = target.pauses_s(recipient)
        assert 0.8 <= pause_s < 5, recipient
    (pause_s,) = target.pauses_s("busy@example.com")
    assert 3 <= pause_s < 8
    # The lost answer was to a delivery: the target knows the second by its key.
    assert len(set(target.taken["lost@example.com"])) == 1
    assert len(target.keys) == 5
    states = {
        row["recipient"]: row["state"]
        for row in (await penstock.run("enrollments", "list", "--json")).json()
    }
    assert states.pop("refused@example.com") == "failed"
    assert set(states.values()) == {"active"}


async def test_two_relays_at_once_tell_of_each_enrolment_once(
    penstock: PenstockProcesses, org: Salesforce, target: Target
) -> None:
    relays = [await penstock.start_relay(), await penstock.start_relay()]
    async with Load(org, limit=500) as load:
        await load.sent()
    await penstock.until_counted(500, SETTLED, "delivered")
    assert len(target.taken) == 500
    assert {len(keys) for keys in target.taken.values()} == {1}
    for relay in relays:
        assert await relay.terminate() == 0


async def test_what_a_killed_relay_was_telling_is_told_by_another_after_the_lease(
    penstock: PenstockProcesses, org: Salesforce, target: Target
) -> None:
    lease = {"PENSTOCK_RELAY__LEASE_S": "3", "PENSTOCK_RELAY__TIMEOUT_S": "2"}
    target.fails = {"slow@example.com": ["hang"]}
    first = await penstock.start_relay(**lease)
    await enroll(org, "slow@example.com")
    async with asyncio.timeout(10):
        await target.hanging.wait()
    await first.kill()

    await penstock.start_relay(**lease)
    await penstock.until_counted(1, SETTLED, "delivered")
    (pause_s,) = target.pauses_s("slow@example.com")
    assert 2.5 <= pause_s < 8
    assert len(target.taken["slow@example.com"]) == 1
