from __future__ import annotations

import msgspec

from ops.flow import Flow, Latency, ObjectFlow, Outbox, workers_needed

LEADS = ObjectFlow(
    object="Lead",
    accepted_per_s=500,
    depth_count=1000,
    in_hand_count=0,
    oldest_s=12,
    consumer_count=1,
    worker_count=1,
    committed_per_s=1000,
    latency=Latency(),
    dead_count=0,
    dead_queue_count=0,
    fired_per_s=0,
    outbox=Outbox(),
    sent_per_s=0,
    send_latency=Latency(),
    failed_count=0,
    held_count=0,
    changes_per_message=60,
    worker_changes_per_s=1000,
    minutes=[],
)


def needed(within_s: float, **differs: object) -> tuple[int | None, str | None]:
    one = msgspec.structs.replace(LEADS, **differs)
    flow = Flow(
        at="",
        callout_count=0,
        refused_count=0,
        put_off_count=0,
        outbox=Outbox(),
        objects=[one],
        processes=[],
        problem=None,
    )
    (drain,) = workers_needed(flow, within_s)
    return drain.workers_needed, drain.why


def test_what_arrives_meanwhile_is_worked_off_too() -> None:
    # 60,000 changes in 60 s are 1,000 a second, and 500 a second come.
    assert needed(60) == (2, None)
    assert needed(60, accepted_per_s=1001) == (3, None)
    assert needed(6) == (11, None)


def test_what_workers_hold_counts_as_waiting() -> None:
    assert needed(60, in_hand_count=1000) == (3, None)


def test_an_empty_queue_that_nothing_comes_to_needs_no_worker() -> None:
    assert needed(60, depth_count=0, accepted_per_s=0, worker_changes_per_s=None) == (0, None)


def test_what_never_kept_a_worker_busy_needs_one() -> None:
    assert needed(60, depth_count=0, accepted_per_s=3, worker_changes_per_s=None) == (1, None)


def test_what_was_never_measured_is_not_guessed() -> None:
    count, why = needed(60, worker_changes_per_s=None)
    assert count is None
    assert "no worker was busy" in (why or "")
    assert needed(60, depth_count=None)[0] is None
