"""A change that can never succeed is kept with its reason; its neighbours never notice.

Callouts are queued before the worker starts, so that good and bad ones share a batch.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from pipeline.objects import long_id
from tests.salesforce import Salesforce, callout, now_ms

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import PenstockProcesses

OTHER_ORG_ID: Final = "00D5g000004OthrEAA"
# A number that JSON may hold and JSONB refuses.
HUGE: Final = b"1e999999"
CHANGES: Final = "SELECT count(*) FROM change"
DEAD: Final = "SELECT count(*) FROM dead_letter"
DAY_MS: Final = 24 * 3600 * 1000


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    """An org whose callouts are queued; no worker runs."""
    await penstock.start_ingest()
    return await Salesforce.connect(penstock)


def lead(number: int, **fields: Any) -> dict[str, Any]:
    return {"Id": lead_id(number), "Status": "Open", **fields}


def lead_id(number: int) -> str:
    return long_id(f"00Q5g0000{number:06d}")


def inserts(*leads: dict[str, Any], **keys: Any) -> bytes:
    """Return a callout in which the text `huge` stands for the number that JSONB refuses."""
    document = callout([{"new": fields} for fields in leads], operation="insert", **keys)
    return msgspec.json.encode(document).replace(b'"huge"', HUGE)


async def test_bad_changes_are_kept_whole_while_their_neighbours_commit(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    other = await Salesforce.connect(penstock, OTHER_ORG_ID, rules="")
    qualified = {"Status": "Qualified", "Rating": "Hot"}
    capture = [
        lead(number, **qualified, Email=f"lead{number}@example.com") for number in range(200)
    ]
    capture[117]["AnnualRevenue"] = "huge"
    await org.accepted(inserts(*capture, capture_id="one-of-200"))
    two = [lead(number, Score="huge" if number in (310, 349) else 1) for number in range(300, 350)]
    await org.accepted(inserts(*two, capture_id="two-of-50"))
    neighbours = [lead(number) for number in range(400, 450)]
    await other.accepted(inserts(*neighbours, org_id=OTHER_ORG_ID))
    await org.accepted(inserts(lead(500), capture_id="old", captured_at=now_ms() - 400 * DAY_MS))
    await org.accepted(inserts(lead(501), capture_id="ahead", captured_at=now_ms() + DAY_MS // 8))

    worker = await penstock.start_worker()
    await penstock.until_counted(199 + 48 + 50, CHANGES)
    await penstock.until_counted(5, DEAD)
    for table in ("enrollment", "outbox"):
        await penstock.until_counted(199, f"SELECT count(*) FROM {table}")  # noqa: S608  ours

    listed = (await penstock.run("dead", "list", "--json")).json()
    found = {(row["capture_id"], row["record_id"]): row for row in listed}
    reasons = {key: row["reason"] for key, row in found.items()}
    assert reasons == {
        ("one-of-200", lead_id(117)): "refused_by_database",
        ("two-of-50", lead_id(310)): "refused_by_database",
        ("two-of-50", lead_id(349)): "refused_by_database",
        ("old", lead_id(500)): "out_of_window",
        ("ahead", lead_id(501)): "out_of_window",
    }
    bad = found["one-of-200", lead_id(117)]
    assert "overflow" in bad["error"]
    shown = await penstock.run("dead", "show", str(bad["id"]), "--json")
    assert shown.returncode == 0, shown.stderr
    # To the byte, and a callout of its own: what a replay sends.
    assert HUGE in shown.stdout
    for other_lead in (b"lead116@example.com", b"lead118@example.com"):
        assert other_lead not in shown.stdout
    assert await worker.terminate() == 0


async def test_a_dead_letter_that_comes_again_is_counted_not_held(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    # A sender that stamps its retry anew breaks the contract; others must not wait for it.
    for days in (400, 401, 402):
        captured_at = now_ms() - days * DAY_MS
        await org.accepted(inserts(lead(1), capture_id="again", captured_at=captured_at))
    await org.accepted(inserts(lead(2)))
    await penstock.start_worker("lead")
    await penstock.until_counted(1, CHANGES)
    await penstock.until_counted(1, DEAD)

    await org.accepted(
        inserts(lead(1), capture_id="again", captured_at=now_ms() - 400 * DAY_MS), at_s=None
    )
    await penstock.until_counted(
        1, "SELECT count(*) FROM dead_letter WHERE capture_id = 'again' AND attempts > 1"
    )


async def test_whatever_a_field_holds_nobody_is_held_up(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    odd: list[object] = [
        "\x00",
        "nul\x00@example.com",
        "x" * 100_000 + "@example.com",
        "@",
        "",
        " ",
        12,
        -0.0,
        True,
        ["ana@example.com"],
        {"Email": "ana@example.com"},
        "ana@example.com\nBcc: all@example.com",
        "\U0001f600@example.com",
        "\x1a0000@example.com",
        "%s%n{0}@example.com",
        "'; DROP TABLE change; --@example.com",
    ]
    captures = [
        inserts(
            lead(number, Status="Qualified", Rating="Hot", Email=value, FirstName=value),
            capture_id=f"odd-{number}",
        )
        for number, value in enumerate(odd)
    ]
    for form in (rb"\ud83d", rb"\udc00x", rb"\u0000", rb"\u001a", rb"\u001A0041"):
        number = len(captures)
        fields = lead(number, Status="Qualified", Rating="Hot", Email="mark", FirstName="mark")
        body = inserts(fields, capture_id=f"odd-{number}")
        captures.append(body.replace(b'"mark"', b'"' + form + b'@example.com"'))
    for number, digits in enumerate((b"9" * 5000, b"1e400", b"-1e-400", b"1" * 140_000, HUGE)):
        fields = lead(900 + number, Status="Qualified", AnnualRevenue="digits", Email="a@b.example")
        body = inserts(fields, capture_id=f"digits-{number}")
        captures.append(body.replace(b'"digits"', digits))
    for body in captures:
        await org.accepted(body)
    await org.accepted(inserts(lead(999), capture_id="last"))

    worker = await penstock.start_worker("lead")
    await penstock.until_counted(len(captures) + 1, f"SELECT ({CHANGES}) + ({DEAD})")
    dead = await penstock.fetch("SELECT capture_id, error FROM dead_letter ORDER BY capture_id")
    assert [row["capture_id"] for row in dead] == ["digits-3", "digits-4"], dead
    assert '"holding"' not in worker.log
    # Kept to the byte, whatever it was.
    stored = await penstock.fetch("SELECT capture_id, new FROM change")
    sent = {capture_id(body): body for body in captures}
    for row in stored:
        if row["capture_id"] != "last":
            assert row["new"].encode() in sent[row["capture_id"]], row["capture_id"]
    enrolled = await penstock.fetch("SELECT recipient FROM enrollment ORDER BY recipient")
    assert [row["recipient"] for row in enrolled] == [
        "%s%n{0}@example.com",
        "a@b.example",
        "\U0001f600@example.com",
    ]


def capture_id(body: bytes) -> str:
    """Return it from a body that Python's parsers would refuse for what else is in it."""
    return body.split(b'"capture_id":"')[1].split(b'"')[0].decode()


# A worker as it is, but for one record whose insertion it does not survive.
FRAGILE_WORKER: Final = """
import os, signal
from ops.__main__ import main
from workers import processor

insert_history = processor.insert_history

async def dying(connection, changes):
    if any(change.record_id == {record_id!r} for change in changes):
        os.kill(os.getpid(), signal.SIGKILL)
    return await insert_history(connection, changes)

processor.insert_history = dying
main()
"""


async def test_a_change_that_kills_every_worker_is_isolated_in_the_end(
    penstock: PenstockProcesses, org: Salesforce, tmp_path: Path
) -> None:
    script = tmp_path / "fragile_worker.py"
    script.write_text(FRAGILE_WORKER.format(record_id=lead_id(13)))
    for number in range(10):
        await org.accepted(inserts(lead(number)))
    await org.accepted(inserts(*(lead(number) for number in range(10, 20)), capture_id="deadly"))

    assert await deaths_until_isolated(penstock, script) == 5
    await penstock.until_counted(19, CHANGES)
    (dead,) = (await penstock.run("dead", "list", "--json")).json()
    assert (dead["record_id"], dead["reason"]) == (lead_id(13), "crashed_worker")
    assert await penstock.fetch("SELECT * FROM delivery_try") == []


async def deaths_until_isolated(penstock: PenstockProcesses, script: Path) -> int:
    """Start one worker after the other, as a supervisor would; return how many died."""
    death_count = 0
    while True:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, str(script), "worker", "--object", "lead", env=penstock.environment
        )
        ended = asyncio.create_task(worker.wait())
        isolated = asyncio.create_task(penstock.until_counted(1, DEAD))
        try:
            await asyncio.wait((ended, isolated), return_when=asyncio.FIRST_COMPLETED)
            if isolated.done():
                worker.terminate()
                assert await ended == 0
                return death_count
            assert await ended == -signal.SIGKILL
        finally:
            isolated.cancel()
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        death_count += 1
        assert death_count < 10, "the change was never isolated"
