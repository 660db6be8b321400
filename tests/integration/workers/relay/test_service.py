"""The relay against real webhooks: what it sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pipeline import metrics
from pipeline.settings import Secret
from tests.outbox_rows import add, call, elapse, leave, standing, told, treat
from workers.relay.breaker import Open
from workers.relay.lane import Lane
from workers.relay.targets.open_targets import NoTarget, open_targets
from workers.relay.targets.webhook import WebhookTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline import settings as tree
    from pipeline.database import Pool
    from tests.integration.workers.relay.conftest import OpenRelay
    from tests.webhook import Webhooks
    from workers.relay.claim import Claim
    from workers.relay.service import Relay
    from workers.relay.targets.answers import Answer

# In a zone so far off that no program can add it.
ODD_DATE = "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"
DUE = "state, attempts, last_error, round(extract(epoch FROM due_at - now()))::integer"


def open_breakers(kind: str) -> float:
    (family,) = metrics.relay_breaker_open.collect()
    return sum(one.value for one in family.samples if one.labels["kind"] == kind)


async def until_told(webhooks: Webhooks, count: int) -> None:
    async with asyncio.timeout(10):
        while len(webhooks.requests) < count:
            await webhooks.arrived.wait()
            webhooks.arrived.clear()


async def test_a_delivery_is_signed_and_carries_its_key(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await add(pool, "ana@x.org")
    assert await relay.step() == 1
    assert await relay.step() == 0

    ((path, headers, event),) = webhooks.requests
    assert path == "/enrollments"
    assert event["type"] == "sequence.recipient.added"
    assert event["data"]["recipient"] == "ana@x.org"
    assert event["data"]["variables"] == {"rating": "Hot"}
    assert headers["Idempotency-Key"] == headers["webhook-id"]
    assert headers["Idempotency-Key"].startswith("enr_")
    assert await standing(pool) == [("ana@x.org", "active", None)]


async def test_each_answer_has_its_own_consequence(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    webhooks.answers = {
        "bad@x.org": web.Response(status=422),
        "dead@x.org": web.Response(status=500),
        "auth@x.org": web.Response(status=401),
        "moved@x.org": web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        "odd@x.org": web.Response(status=500, headers={"Retry-After": ODD_DATE}),
    }
    await add(pool, "fine@x.org", *webhooks.answers)
    assert await relay.step() == 6

    fine, bad, *held = await told(pool, DUE)
    assert fine[:3] == ("delivered", 1, None)
    assert bad[:3] == ("failed", 1, "the target answered 422")
    for row in held:
        assert row[:2] == ("open", 1)
        assert row[2].startswith("the target answered ")
        assert row[3] in {0, 1}
    assert (await standing(pool))[:2] == [
        ("fine@x.org", "active", None),
        ("bad@x.org", "failed", "the target answered 422"),
    ]


@pytest.mark.parametrize(
    "case", [(429, "90", {89, 90}), (503, "9" * 5000, {3599, 3600}), (503, None, {88, 89, 90})]
)
async def test_a_target_that_asks_for_a_pause_hears_nothing_until_it_is_over(
    pool: Pool, relay: Relay, webhooks: Webhooks, case: tuple[int, str | None, set[int]]
) -> None:
    status, asked, seconds = case
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    webhooks.answers["ana@x.org"] = web.Response(
        status=status, headers={"Retry-After": asked or date}
    )
    await add(pool, "ana@x.org")
    assert await relay.step() == 1
    ((state, attempts, _, due_s),) = await told(pool, DUE)
    assert (state, attempts) == ("open", 1)
    assert due_s in seconds
    await add(pool, "bo@x.org")
    assert await relay.step() == 0
    assert len(webhooks.requests) == 1


async def test_a_target_that_is_gone_hears_nothing_until_it_is_resumed(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    webhooks.answers["ana@x.org"] = web.Response(status=410)
    await add(pool, "ana@x.org")
    await relay.step()
    await add(pool, "bo@x.org")
    assert await relay.step() == 0

    stops = await pool.fetch("SELECT target, reason FROM relay_stop")
    assert [tuple(row) for row in stops] == [("webhook", "the target answered 410")]
    assert await told(pool) == [("ana@x.org", "open"), ("bo@x.org", "open")]
    webhooks.answers.clear()
    await pool.execute("DELETE FROM relay_stop")
    assert await relay.step() == 2
    assert await told(pool) == [("ana@x.org", "delivered"), ("bo@x.org", "delivered")]


async def test_a_retry_repeats_the_key_and_pauses_grow(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    webhooks.answers["ana@x.org"] = web.Response(status=500)
    await add(pool, "ana@x.org")
    pauses = []
    for _ in range(3):
        assert await relay.step() == 1
        pauses.append((await told(pool, DUE))[0][3])
        await elapse(pool)

    for pause, (least, most) in zip(pauses, ((0, 1), (3, 6), (23, 36)), strict=True):
        assert least <= pause <= most
    assert len({headers["Idempotency-Key"] for _, headers, _ in webhooks.requests}) == 1


async def test_a_target_that_does_not_answer_in_time_or_is_away_is_held(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    await add(pool, "ana@x.org")
    webhooks.go_on.clear()
    async with open_relay() as relay:
        await relay.step()
    await elapse(pool)
    async with open_relay(webhook_url="http://127.0.0.1:1/") as relay:
        await relay.step()
    ((state, attempts, error, due_s),) = await told(pool, DUE)
    assert (state, attempts) == ("open", 2)
    assert error == "the target cannot be reached: ClientConnectorError"
    assert due_s <= 6


async def test_exits_and_calls_are_told_in_order_with_their_own_events(
    pool: Pool, relay: Relay, webhooks: Webhooks, open_relay: OpenRelay
) -> None:
    (ana,) = await add(pool, "ana@x.org")
    assert await relay.step() == 1
    await leave(pool, ana)
    await call(pool, f"{webhooks.url}/hook", "00Q1", company="A\u001a0000ß")
    async with open_relay(allow_networks="127.0.0.0/8") as allowed:
        assert await allowed.step() == 2

    assert sorted(webhooks.told()) == [
        ("rule.fired", "00Q1"),
        ("sequence.recipient.added", "ana@x.org"),
        ("sequence.recipient.removed", "ana@x.org"),
    ]
    events = {event["type"]: event["data"] for _, _, event in webhooks.requests}
    assert events["sequence.recipient.removed"]["reason"] == "exited: rule r"
    assert "variables" not in events["sequence.recipient.removed"]
    assert events["rule.fired"]["fields"] == {"company": "A\x00ß"}
    assert [path for path, _, event in webhooks.requests if event["type"] == "rule.fired"] == [
        "/hook"
    ]
    assert [state for _, state, _ in await standing(pool)] == ["exited"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "http://["]
)
async def test_a_rules_webhook_in_this_network_or_nowhere_is_refused(
    pool: Pool, relay: Relay, webhooks: Webhooks, url: str
) -> None:
    await call(pool, url, "00Q1")
    await relay.step()
    ((state, error),) = await told(pool, "state, last_error")
    assert state == "failed"
    assert "private or reserved" in error or "not a URL" in error
    assert webhooks.requests == []


async def test_a_name_is_judged_by_the_address_that_it_leads_to(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def lead_here(host: str, *told: Any, **more: Any) -> Any:  # noqa: ANN401  as the library has it
        return resolve("127.0.0.1" if host == "public.example" else host, *told, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lead_here)
    named = webhooks.url.replace("127.0.0.1", "public.example")
    await add(pool, "ana@x.org")
    await call(pool, named, "00Q1")
    async with open_relay(webhook_url=named) as relay:
        await relay.step()
    private = "its address is private or reserved"
    assert await told(pool, "state, last_error") == [
        # An operator can allow it, or mend the name; a rule is wrong.
        (
            "open",
            f"the target cannot be reached: {private} (PENSTOCK_RELAY__ALLOW_NETWORKS)",
        ),
        ("failed", f"the rule's webhook is not called: {private}"),
    ]
    assert webhooks.requests == []
    await elapse(pool)
    async with open_relay(webhook_url=named, allow_networks="127.0.0.0/8") as relay:
        await relay.step()
    assert webhooks.told() == [("sequence.recipient.added", "ana@x.org")]


async def test_a_slow_target_holds_no_other_up(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    webhooks.hanging.add("/slow")
    for number in range(3):
        await call(pool, f"{webhooks.url}/slow", f"slow{number}")
        await call(pool, f"{webhooks.url}/fast", f"fast{number}")
    await add(pool, "ana@x.org")
    stop = asyncio.Event()
    async with open_relay(allow_networks="127.0.0.0/8", timeout_s=3.0) as relay:
        running = asyncio.create_task(relay.run(stop))
        started = time.monotonic()
        await until_told(webhooks, 7)
        await add(pool, "bo@x.org")
        await until_told(webhooks, 8)
        assert time.monotonic() - started < 2.5
        stop.set()
        await running
    states = dict(await told(pool))
    assert {states[f"fast{number}"] for number in range(3)} == {"delivered"}
    assert {states[f"slow{number}"] for number in range(3)} == {"open"}


async def test_requests_to_a_target_keep_their_distance(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    await add(pool, *(f"lead{number}@x.org" for number in range(20)))
    async with open_relay(requests_per_s=40) as relay:
        started = time.monotonic()
        while await relay.step():
            pass
        took_s = time.monotonic() - started
    assert len(webhooks.requests) == 20
    assert took_s >= 19 / 40


async def test_a_target_that_takes_nothing_is_left_alone_and_then_tried_by_one(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    names = [f"lead{number}@x.org" for number in range(30)]
    webhooks.answers = {name: web.Response(status=503) for name in names}
    await add(pool, *names)
    async with open_relay(requests_per_s=4) as relay:
        # A request at a time, so that it shows how many it takes.
        while await relay.step():
            pass
        assert len(webhooks.requests) == 10
        assert open_breakers("webhook") == 1
        await elapse(pool)
        assert await relay.step() == 0


async def test_a_probe_is_one_row_whatever_is_due(
    pool: Pool, webhooks: Webhooks, relay_settings: tree.Relay
) -> None:
    await add(pool, *(f"lead{number}@x.org" for number in range(30)))
    async with open_targets(relay_settings) as targets:
        target = targets.find("webhook")
        assert not isinstance(target, NoTarget)
        lane = Lane("webhook", target, relay_settings, pool)
        lane.breaker.state = Open(until_s=0.0, pause_s=5.0)
        assert await lane.step() == 1
        assert lane.breaker.is_ready
        assert await lane.step() == 29
    assert len(webhooks.requests) == 30


async def test_a_relay_that_is_stopped_finishes_what_is_under_way(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    stop = asyncio.Event()
    webhooks.go_on.clear()
    running = asyncio.create_task(relay.run(stop))
    await add(pool, "ana@x.org")
    async with asyncio.timeout(10):
        await webhooks.arrived.wait()
        stop.set()
        webhooks.go_on.set()
        await running

    assert await standing(pool) == [("ana@x.org", "active", None)]
    assert relay.problem() is None


async def test_a_relay_waits_for_a_database_that_is_away(
    pool: Pool, relay: Relay, webhooks: Webhooks
) -> None:
    await add(pool, "ana@x.org")
    await pool.execute("ALTER TABLE outbox RENAME TO moved")
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    deadline = time.monotonic() + 10
    while "holding" not in (relay.problem() or ""):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)

    await pool.execute("ALTER TABLE moved RENAME TO outbox")
    async with asyncio.timeout(10):
        await webhooks.arrived.wait()
        stop.set()
        await running
    assert await told(pool) == [("ana@x.org", "delivered")]


async def test_rows_of_a_target_that_is_not_set_wait_and_the_relay_says_why(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    await add(pool, "ana@x.org", target="mixmax")
    await add(pool, "bo@x.org")
    async with open_relay(mixmax_token=Secret("")) as relay:
        assert await relay.step() == 1
        assert relay.missing() == "rows wait for PENSTOCK_RELAY__MIXMAX_TOKEN to be set"
    async with open_relay(webhook_url="", webhook_secret=Secret("")) as relay:
        await add(pool, "cy@x.org")
        await call(pool, f"{webhooks.url}/hook", "00Q1")
        assert await relay.step() == 1
        told_of = relay.missing() or ""
        assert "PENSTOCK_RELAY__WEBHOOK_URL" in told_of
        assert "PENSTOCK_RELAY__WEBHOOK_SECRET" in told_of
    assert ("ana@x.org", "delivered") in await told(pool)


async def test_a_breaker_of_one_target_is_none_of_another(
    pool: Pool, open_relay: OpenRelay, webhooks: Webhooks
) -> None:
    await treat(pool)
    for number in range(12):
        await call(pool, "http://127.0.0.2:1/", f"00Q{number}")
    await add(pool, "ana@x.org")
    async with open_relay(allow_networks="127.0.0.0/8") as relay:
        await relay.step()
        assert open_breakers("call") == 1
        assert open_breakers("webhook") == 0
    assert webhooks.told() == [("sequence.recipient.added", "ana@x.org")]


async def test_what_no_one_foresaw_holds_its_own_row_and_no_other(
    pool: Pool, relay: Relay, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = WebhookTarget.deliver

    async def fail_for_one(self: WebhookTarget, batch: Sequence[Claim]) -> list[Answer]:
        if batch[0].recipient == "odd@x.org":
            raise RuntimeError("nobody thought of this")
        return await deliver(self, batch)

    monkeypatch.setattr(WebhookTarget, "deliver", fail_for_one)
    await add(pool, "odd@x.org", "ana@x.org")
    assert await relay.step() == 2
    odd, ana = await told(pool, DUE)
    assert odd[:3] == ("open", 1, "delivering failed: RuntimeError")
    assert ana[0] == "delivered"
    assert len(webhooks.requests) == 1
