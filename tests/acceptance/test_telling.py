"""What processes tell of themselves: logs that follow a change and show no value, and metrics."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import msgspec
import pytest
from aiohttp import web

from ops.stack.ports import free_port
from pipeline import topology
from pipeline.objects import long_id
from tests.salesforce import Salesforce, callout, now_ms, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import PenstockProcesses, Running

CANARY: Final = f"canary{secrets.token_hex(6)}"
TARGET_SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
DEAD: Final = "SELECT count(*) FROM dead_letter"
SETTLED: Final = "SELECT count(*) FROM outbox WHERE state <> 'open'"
# A number that JSON may hold and JSONB refuses.
HUGE: Final = b"1e999999"


@pytest.fixture
async def target_url() -> AsyncIterator[str]:
    """A target that takes one recipient, refuses another, and answers all with what it was sent."""

    async def take(request: web.Request) -> web.Response:
        body = await request.text()
        return web.Response(status=422 if "refused" in body else 200, text=body)

    port = free_port()
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/?key={CANARY}"
    await runner.cleanup()


def lead(number: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    values = {"LastName": CANARY, "Description": f"of {CANARY}", "FirstName": CANARY}
    return {"Id": long_id(f"00Q5g0000{number:06d}"), **values, **fields}


async def send_all_kinds(penstock: PenstockProcesses, org: Salesforce) -> str:
    """Send what commits, what dies and what is refused; return the capture that enrols."""
    hot = {"Status": "Qualified", "Rating": "Hot"}
    good = callout(
        [
            {"new": lead(1, **hot, Email=f"{CANARY}@example.com")},
            {"new": lead(2, **hot, Email=f"refused-{CANARY}@example.com")},
        ],
        operation="insert",
    )
    await org.accepted(good)
    dead = callout([{"new": lead(3, Score="huge")}], operation="insert")
    await org.accepted(msgspec.json.encode(dead).replace(b'"huge"', HUGE))
    await org.accepted(
        callout([{"new": lead(4)}], operation="insert", captured_at=now_ms() + 10**8)
    )
    unsigned = await org.post("changes", b"{}", sign(TARGET_SECRET, b"{}"))
    broken = await org.send(CANARY.encode())
    wrong = await org.send({**good, "changes": [{"new": {"Id": f"{CANARY}-"}}]})
    assert [one.status for one in (unsigned, broken, wrong)] == [401, 400, 422]
    async with await aio_pika.connect(penstock.environment["PENSTOCK_BROKER__URL"]) as connection:
        exchange = await (await connection.channel()).get_exchange(topology.CHANGES)
        await exchange.publish(aio_pika.Message(CANARY.encode()), "lead.update")
    return str(good["capture_id"])


async def test_logs_follow_a_change_through_every_process_and_show_no_value_and_no_secret(
    penstock: PenstockProcesses, target_url: str
) -> None:
    penstock.environment["PENSTOCK_LOG__LEVEL"] = "debug"
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    worker = await penstock.start_worker()
    relay = await penstock.start_relay(
        PENSTOCK_RELAY__WEBHOOK_URL=target_url,
        PENSTOCK_RELAY__WEBHOOK_SECRET=TARGET_SECRET,
        PENSTOCK_RELAY__MIXMAX_TOKEN=CANARY,
    )
    console = await penstock.start_console()
    capture_id = await send_all_kinds(penstock, org)
    await penstock.until_counted(3, DEAD)
    await penstock.until_counted(2, SETTLED)
    token = (await penstock.run("console", "token", "add", "ada", "--json")).json()["token"]
    await look_around(penstock.console_url, token)
    for running in (ingest, worker, relay, console):
        assert await running.terminate() == 0

    passwords = [
        urlsplit(penstock.environment[f"PENSTOCK_{server}__URL"]).password or "none"
        for server in ("BROKER", "DATABASE")
    ]
    hidden = [CANARY, org.secret, org.secret.removeprefix("whsec_"), TARGET_SECRET, *passwords]
    for running in (ingest, worker, relay, console):
        assert [text for text in (*hidden, token) if text in running.log] == [], running.name
    assert "signed_in" in console.log
    for running in (ingest, worker, relay):
        assert capture_id in running.log, f"{running.name} does not tell of the capture"
    events = {running.name: told(running) for running in (ingest, worker, relay)}
    (accepted,) = [e for e in events["ingest"] if e.get("capture_id") == capture_id]
    assert accepted["event"] == "callout_accepted"
    batches = [e for e in events["worker"] if e["event"] == "batch_committed"]
    (batch,) = [e for e in batches if capture_id in e["capture_ids"]]
    assert accepted["callout_id"] in batch["callout_ids"]
    assert org.org_id in batch["org_ids"]
    delivered = [e for e in events["relay"] if e["event"] == "delivered"]
    assert {(e["org_id"], e["capture_id"]) for e in delivered} == {(org.org_id, capture_id)}


async def test_every_process_serves_what_it_counts(
    penstock: PenstockProcesses, target_url: str
) -> None:
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    worker = await penstock.start_worker("lead")
    relay = await penstock.start_relay(
        PENSTOCK_RELAY__WEBHOOK_URL=target_url, PENSTOCK_RELAY__WEBHOOK_SECRET=TARGET_SECRET
    )
    await send_all_kinds(penstock, org)
    await penstock.until_counted(2, SETTLED)
    await until_scraped(penstock, ingest, 'penstock_publishes_total{outcome="confirmed"}')
    await until_scraped(penstock, worker, 'penstock_dead_letters_total{object="Lead",reason="out_')
    await until_scraped(penstock, worker, 'penstock_stage_seconds_count{stage="commit"}')
    # Looked at every 5 s.
    await until_scraped(penstock, worker, 'penstock_dead_queue_messages{object="Lead"} 0.0')
    await until_scraped(penstock, worker, 'penstock_queue_messages{object="Lead"} 0.0')
    await until_scraped(
        penstock, relay, 'penstock_target_answers_total{kind="webhook",status="2xx"}'
    )
    await until_scraped(penstock, relay, "penstock_outbox_open 0.0")


async def look_around(url: str, token: str) -> None:
    """Sign in to the console, and look where records and dead letters are."""
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get("/sign-in") as response:
            found = re.search(r'name="form_token" value="([^"]+)"', await response.text())
        form = {"token": token, "form_token": found and found[1]}
        async with session.post("/sign-in", data=form) as response:
            assert response.ok
        shown = ""
        for path in ("/flow", "/enrollments", "/dead", f"/dead?text={CANARY}", "/orgs", "/rules"):
            async with session.get(path) as response:
                assert response.ok, path
                shown += await response.text()
        assert CANARY in shown


def told(running: Running) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in running.log.splitlines()]


async def until_scraped(penstock: PenstockProcesses, running: Running, sample: str) -> None:
    """Return once a process serves a sample that begins so."""
    async with asyncio.timeout(20):
        while True:
            async with penstock.session.get(f"{running.admin_url}/metrics") as response:
                served = await response.text()
            if f"\n{sample}" in served:
                return
            await asyncio.sleep(0.1)
