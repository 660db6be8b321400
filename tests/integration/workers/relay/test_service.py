"""The relay against a real target: what it sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from ops.stack.ports import free_port
from pipeline import settings as tree
from pipeline.signing import new_secret
from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, record_ids
from tests.salesforce import ORG_ID
from workers.relay.service import Relay
from workers.relay.webhook import WebhookTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool
    from workers.processor import Processor

SECRET = new_secret()
OUTBOX = """
    SELECT outbox.state, enrollment.state, attempts, last_error,
           round(extract(epoch FROM due_at - now()))::integer
    FROM outbox JOIN enrollment USING (enrollment_id) ORDER BY outbox.recipient"""


class Target:
    """Answers each recipient as it was told to, 204 if it was not; keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, web.Response] = {}
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        self.arrived.set()
        await self.go_on.wait()
        recipient = msgspec.json.decode(body)["data"]["recipient"]
        return self.answers.get(recipient, web.Response(status=204))


@pytest.fixture
async def target() -> Target:
    return Target()


@pytest.fixture
async def relay(pool: Pool, target: Target) -> AsyncIterator[Relay]:
    app = web.Application()
    app.router.add_post("/enrollments", target.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = tree.Relay(
        webhook_url=f"http://127.0.0.1:{port}/enrollments",
        webhook_secret=tree.Secret(SECRET),
        timeout_s=1.0,
    )
    async with aiohttp.ClientSession() as session:
        yield Relay(tree.Settings(relay=settings), pool, WebhookTarget(settings, session))
    target.go_on.set()
    await runner.cleanup()


async def enrol(pool: Pool, processor: Processor, *names: str) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    ids = record_ids()
    leads = [lead(Id=next(ids), Email=f"{name}@x.org", Rating=name) for name in names]
    await processor.process(received(inserted(*leads)))


async def rows(pool: Pool) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(OUTBOX)]


async def test_a_delivery_is_signed_and_carries_its_key(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    await enrol(pool, processor, "ana")
    assert await relay.step() == 1
    assert await relay.step() == 0

    ((headers, body),) = target.requests
    told = Webhook(SECRET).verify(body.decode(), {name.lower(): v for name, v in headers.items()})
    assert told["data"]["recipient"] == "ana@x.org"
    assert told["data"]["variables"] == {"rating": "ana"}
    assert headers["Idempotency-Key"] == headers["webhook-id"]
    assert headers["Idempotency-Key"].startswith("enr_")
    assert (await rows(pool))[0][:4] == ("delivered", "active", 1, None)


async def test_each_answer_has_its_own_consequence(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    target.answers = {
        "b-gone@x.org": web.Response(status=410),
        "c-busy@x.org": web.Response(status=429, headers={"Retry-After": "90"}),
        "d-dead@x.org": web.Response(status=500),
        "e-auth@x.org": web.Response(status=401),
        "f-far@x.org": web.Response(status=503, headers={"Retry-After": "9" * 5000}),
        "g-moved@x.org": web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        "h-date@x.org": web.Response(
            status=503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
        ),
    }
    names = [recipient.partition("@")[0] for recipient in target.answers]
    await enrol(pool, processor, "a-fine", *names)
    assert await relay.step() == 8

    fine, gone, busy, dead, auth, far, moved, date = await rows(pool)
    assert fine[:4] == ("delivered", "active", 1, None)
    assert gone[:4] == ("failed", "failed", 1, "the target answered 410")
    for row in (busy, dead, auth, far, moved, date):
        assert row[:3] == ("open", "pending", 1)
        assert row[3].startswith("the target answered ")
    assert busy[4] in {89, 90}
    assert far[4] in {3599, 3600}
    for row in (dead, auth, moved, date):
        assert row[4] in {0, 1}


async def test_a_retry_repeats_the_key_and_pauses_grow(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    target.answers["ana@x.org"] = web.Response(status=500)
    await enrol(pool, processor, "ana")
    pauses = []
    for _ in range(3):
        assert await relay.step() == 1
        pauses.append((await rows(pool))[0][4])
        await pool.execute("UPDATE outbox SET due_at = now()")
        target.answers["ana@x.org"] = web.Response(status=500)

    for pause, (least, most) in zip(pauses, ((0, 1), (3, 6), (23, 36)), strict=True):
        assert least <= pause <= most
    assert len({headers["Idempotency-Key"] for headers, _ in target.requests}) == 1


async def test_a_target_that_does_not_answer_in_time_or_is_away_is_held(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    await enrol(pool, processor, "ana")
    target.go_on.clear()
    await relay.step()
    ((state, enrollment, attempts, error, due_s),) = await rows(pool)
    assert (state, enrollment, attempts) == ("open", "pending", 1)
    assert "cannot be reached" in error
    assert due_s <= 2


async def test_a_relay_that_is_stopped_finishes_what_is_under_way(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    stop = asyncio.Event()
    target.go_on.clear()
    running = asyncio.create_task(relay.run(stop))
    await enrol(pool, processor, "ana")
    async with asyncio.timeout(10):
        await target.arrived.wait()
        stop.set()
        target.go_on.set()
        await running

    assert (await rows(pool))[0][:3] == ("delivered", "active", 1)
    assert relay.problem() is None


async def test_a_relay_waits_for_a_database_that_is_away(
    pool: Pool, processor: Processor, relay: Relay, target: Target
) -> None:
    await enrol(pool, processor, "ana")
    await pool.execute("ALTER TABLE outbox RENAME TO moved")
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    deadline = time.monotonic() + 10
    while "holding" not in (relay.problem() or ""):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)

    await pool.execute("ALTER TABLE moved RENAME TO outbox")
    async with asyncio.timeout(10):
        await target.arrived.wait()
        stop.set()
        await running
    assert (await rows(pool))[0][:2] == ("delivered", "active")
