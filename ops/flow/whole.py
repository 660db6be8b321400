"""What the flow tells; `read_flow` fills it. Counts are of the last hour unless they say more."""

from __future__ import annotations

import msgspec

from ops.flow.latency import Latency
from ops.flow.processes import Process


class Minute(msgspec.Struct, frozen=True):
    """A minute of an object; `minute` is its beginning in RFC 3339, counts are of that minute.

    `latency` is from the callout's arrival to its commit.
    """

    minute: str
    accepted_count: int = 0
    committed_count: int = 0
    dead_count: int = 0
    fired_count: int = 0
    sent_count: int = 0
    failed_count: int = 0
    latency: Latency = Latency()


class Outbox(msgspec.Struct, frozen=True):
    """What the relay has not settled, but for what quiet hours or a daily cap put off.

    `has_more`: more than 10,000 rows are open, of which others are not looked at.
    """

    open_count: int = 0
    delayed_count: int = 0
    oldest_s: float | None = None
    has_more: bool = False


class ObjectFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One object's path. Rates are per second, over the last 30 to 90 s.

    None stands for what cannot be told: `depth_count`, `consumer_count` and `dead_queue_count`
    without RabbitMQ, `oldest_s` while nothing waits, or if no worker took any of it lately.
    `depth_count` counts messages, each of one or more callouts, `in_hand_count` those that workers
    hold. `oldest_s` is how long the oldest message in the queue may have waited, at most.
    `worker_count` workers consume it. `latency` is from a callout's arrival to its commit,
    `send_latency` from there to the target's answer; both of the last hour. In it `dead_count`
    changes became dead letters, `failed_count` rows were refused by their target and `held_count`
    attempts not taken. `changes_per_message` and `worker_changes_per_s`, the rate of one worker in
    the hour's fullest minute of one, are measured; None if nothing was. `minutes` are the last 60
    with the one under way, oldest first.
    """

    object: str
    accepted_per_s: float
    depth_count: int | None
    in_hand_count: int
    oldest_s: float | None
    consumer_count: int | None
    worker_count: int
    committed_per_s: float
    latency: Latency
    dead_count: int
    dead_queue_count: int | None
    fired_per_s: float
    outbox: Outbox
    sent_per_s: float
    send_latency: Latency
    failed_count: int
    held_count: int
    changes_per_message: float | None
    worker_changes_per_s: float | None
    minutes: list[Minute]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The whole path now. `at` is RFC 3339; `problem` says why the queues cannot be told.

    Of the last hour's callouts, `callout_count` were taken in, `refused_count` refused, and
    `put_off_count` answered with Retry-After: no object is known of those. `outbox` is all of it,
    with what is of no object.
    """

    at: str
    callout_count: int
    refused_count: int
    put_off_count: int
    outbox: Outbox
    objects: list[ObjectFlow]
    processes: list[Process]
    problem: str | None
