from __future__ import annotations

import io

import msgspec
from rich.console import Console

from ops.commands.flow_lines import drain_parts, flow_table, told_lines
from ops.commands.lines import WIDTH
from ops.flow import Flow, Latency, ObjectFlow, Outbox, Process, workers_needed

BUSY = ObjectFlow(
    object="Opportunity",
    accepted_per_s=12_345,
    depth_count=123_456,
    in_hand_count=128,
    oldest_s=3 * 3600 + 5 * 60,
    consumer_count=99,
    worker_count=99,
    committed_per_s=12_345,
    latency=Latency(12_345, 123_456),
    dead_count=12_345,
    dead_queue_count=9,
    fired_per_s=1_234,
    outbox=Outbox(10_000, 0, 45 * 60, has_more=True),
    sent_per_s=1_234,
    send_latency=Latency(),
    failed_count=1_234,
    held_count=0,
    changes_per_message=60,
    worker_changes_per_s=None,
    minutes=[],
)
KILLED = Process(
    kind="worker",
    host="node\x1b[31m",
    pid=4711,
    version="0.1.0",
    objects=["Lead"],
    started_at="2026-05-01T12:00:00.000Z",
    told_at="2026-05-01T12:00:00.000Z",
    state="silent",
)
FLOW = Flow(
    at="2026-05-01T12:00:00.000Z",
    callout_count=1,
    refused_count=2,
    put_off_count=3,
    outbox=Outbox(),
    objects=[BUSY],
    processes=[KILLED],
    problem="RabbitMQ does not answer",
)


def printed(*parts: object) -> str:
    console = Console(file=io.StringIO(), width=WIDTH)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_busy_object_fits_on_a_line_of_a_terminal_whole() -> None:
    head, line, *rest = printed(flow_table(FLOW)).splitlines()
    assert rest == []
    assert "…" not in head + line
    for told in ("Opportunity", "12k", "124k", "3 h", "123k", "10k+", "45 min", "1,234"):
        assert told in line


def test_small_rates_show_a_digit_more() -> None:
    quiet = msgspec.structs.replace(BUSY, accepted_per_s=0.25, committed_per_s=3)
    line = printed(flow_table(msgspec.structs.replace(FLOW, objects=[quiet])))
    assert " 0.2 " in line
    assert " 3 " in line


def test_what_is_silent_and_what_cannot_be_told_is_said() -> None:
    told = printed(*told_lines(FLOW))
    assert "1 callout taken in, 2 refused, 3 put off" in told
    assert r"worker 4711 on node\x1b[31m told of itself last" in told
    assert "RabbitMQ does not answer" in told


def test_what_is_needed_is_a_number_or_a_reason() -> None:
    told = printed(*drain_parts(workers_needed(FLOW, 600)))
    assert "to drain within 10 min" in told
    assert "Opportunity: not known, no worker was busy" in told
