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
from tests.salesforce import RULE, Salesforce, callout, now_ms, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import PenstockProcesses, Running

CANARY: Final = f"canary{secrets.token_hex(6)}"
TARGET_SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
DEAD: Final = "SELECT count(*) FROM dead_letter"
WORD: Final = "SELECT count(*) FROM outbox"
SETTLED: Final = f"{WORD} WHERE state <> 'open'"
STOP: Final = "INSERT INTO relay_stop (target, reason) VALUES ('all', 'looked at first')"
GO_ON: Final = "DELETE FROM relay_stop"
# A number that JSON may hold and JSONB refuses.
HUGE: Final = b"1e999999"
RULES: Final = f"""{RULE}
---
rule: hot-leads-to-drip
object: Lead
on: [insert]
when: [{{field: Status, equals: Qualified}}]
then:
  - {{add_to_sequence: drip, recipient: Email, variables: {{first_name: FirstName}}}}
  - {{webhook: "http://10.0.0.1/?token={CANARY}", fields: {{last: LastName}}}}
---
sequence: drip
target: mixmax
"""
# The database quotes the whole row that it refuses.
REFUSE: Final = "ALTER TABLE record ADD CONSTRAINT odd CHECK (record_id <> '{}')"
ALLOW: Final = "ALTER TABLE record DROP CONSTRAINT odd"


@pytest.fixture
async def target_url() -> AsyncIterator[str]:
    """Targets that take one recipient, refuse another, and answer all with what they were sent."""

    async def take(request: web.Request) -> web.Response:
        body = await request.text()
        return web.Response(status=422 if "refused" in body else 200, text=body)

    port = free_port()
    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/?key={CANARY}"
    await runner.cleanup()


def lead(number: int, **fields: Any) -> dict[str, Any]:
    values = {"LastName": CANARY, "Description": f"of {CANARY}", "FirstName": CANARY}
    return {"Id": long_id(f"00Q5g0000{number:06d}"), **values, **fields}


async def send_all_kinds(penstock: PenstockProcesses, org: Salesforce) -> tuple[str, list[str]]:
    """Send what commits, what dies and what is refused.

    Returns the capture that enrols, and the answers to what was refused.
    """
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
    odd = await org.send({**good, "operation": CANARY})
    refused = (unsigned, broken, wrong, odd)
    assert [one.status for one in refused] == [401, 400, 422, 422]
    async with await aio_pika.connect(penstock.environment["PENSTOCK_BROKER__URL"]) as connection:
        exchange = await (await connection.channel()).get_exchange(topology.CHANGES)
        await exchange.publish(aio_pika.Message(CANARY.encode()), "lead.update")
    return str(good["capture_id"]), [await one.text() for one in refused]


async def test_logs_follow_a_change_through_every_process_and_show_no_value_and_no_secret(
    penstock: PenstockProcesses, target_url: str
) -> None:
    penstock.environment["PENSTOCK_LOG__LEVEL"] = "debug"
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules=RULES)
    worker = await penstock.start_worker()
    relay = await penstock.start_relay(
        PENSTOCK_RELAY__WEBHOOK_URL=target_url,
        PENSTOCK_RELAY__WEBHOOK_SECRET=TARGET_SECRET,
        PENSTOCK_RELAY__MIXMAX_URL=target_url.partition("/?")[0],
        PENSTOCK_RELAY__MIXMAX_TOKEN=CANARY,
    )
    console = await penstock.start_console()
    processes = (ingest, worker, relay, console)
    capture_id, said = await send_all_kinds(penstock, org)
    await penstock.until_counted(3, DEAD)
    await penstock.until_counted(5, SETTLED)
    said += await meet_a_refusing_database(penstock, org, worker)
    token = (await penstock.run("console", "token", "add", "ada", "--json")).json()["token"]
    await look_around(penstock.console_url, token)
    said += [await shown(penstock, one) for one in (ingest, worker, relay)]
    for running in processes:
        assert await running.terminate() == 0

    passwords = [
        urlsplit(penstock.environment[f"PENSTOCK_{server}__URL"]).password or "none"
        for server in ("BROKER", "DATABASE")
    ]
    secret = org.secret.removeprefix("whsec_")
    hidden = [CANARY, secret, org.connect_code, TARGET_SECRET, token, *passwords]
    for told_by, text in [*((one.name, one.log) for one in processes), *enumerate(said)]:
        assert [value for value in hidden if value in text] == [], told_by
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
    await send_all_kinds(penstock, org)
    await penstock.until_counted(2, WORD)
    await penstock.fetch(STOP)
    relay = await penstock.start_relay(
        PENSTOCK_RELAY__WEBHOOK_URL=target_url, PENSTOCK_RELAY__WEBHOOK_SECRET=TARGET_SECRET
    )
    await until_scraped(penstock, relay, "penstock_outbox_open 2.0")
    await penstock.fetch(GO_ON)
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
    await until_scraped(penstock, relay, 'penstock_check_failing{check="outbox"} 0.0')
    await until_scraped(penstock, relay, 'penstock_pool_connections{state="idle"}')
    await until_scraped(penstock, ingest, 'penstock_orgs_in_trouble{trouble="silent"} 0.0')


async def meet_a_refusing_database(
    penstock: PenstockProcesses, org: Salesforce, worker: Running
) -> list[str]:
    """Have a worker hold a change that PostgreSQL refuses for now; return what it says of it."""
    odd = lead(5)
    await penstock.fetch(REFUSE.format(odd["Id"]))
    await org.accepted(callout([{"new": odd}], operation="insert"))
    await worker.until_told(penstock.session, "holding: CheckViolationError")
    said = await shown(penstock, worker)
    await penstock.fetch(ALLOW)
    await worker.ready(penstock.session)
    return [said]


async def shown(penstock: PenstockProcesses, running: Running) -> str:
    """Return what a process shows of itself."""
    pages = []
    for path in ("/metrics", "/readyz", "/healthz"):
        async with penstock.session.get(running.admin_url + path) as response:
            pages.append(await response.text())
    return "\n".join(pages)


async def test_no_process_and_no_command_shows_a_password_that_a_server_refuses(
    penstock: PenstockProcesses,
) -> None:
    for server in ("BROKER", "DATABASE"):
        url = urlsplit(penstock.environment[f"PENSTOCK_{server}__URL"])
        netloc = f"{url.username}:{CANARY}@{url.hostname}:{url.port}"
        penstock.environment[f"PENSTOCK_{server}__URL"] = url._replace(netloc=netloc).geturl()
    settings = {
        "PENSTOCK_LOG__LEVEL": "debug",
        "PENSTOCK_INGEST__PORT": "0",
        "PENSTOCK_RELAY__MIXMAX_TOKEN": CANARY,
    }
    launched = [
        (await penstock.launch(name, name.upper(), settings), words)
        for name, words in (
            ("ingest", "InvalidPassword"),
            ("worker", "broker_unavailable"),
            ("relay", "InvalidPassword"),
        )
    ]
    for running, words in launched:
        await until_logged(running, words)
        said = await shown(penstock, running)
        await running.terminate()
        assert CANARY not in said + running.log, running.name
    for command in (("org", "list"), ("flow",), ("doctor",), ("migrate",)):
        result = await penstock.run(*command)
        assert result.returncode == 1
        assert CANARY not in result.stderr + result.stdout.decode()


async def until_logged(running: Running, words: str) -> None:
    """Return once a process has logged these words."""
    async with asyncio.timeout(30):
        while words not in running.log:
            assert running.code is None, running.log
            await asyncio.sleep(0.05)


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
