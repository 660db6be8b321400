"""The dashboard for whoever watches: whether what was promised is kept, and where it stands."""

from __future__ import annotations

from typing import Final

from ops.monitoring.dashboard import Dashboard, Kind, Line, Panel, Row, Unit
from ops.monitoring.promql import (
    Like,
    greatest,
    increase,
    least,
    mean,
    quantile,
    rate,
    share,
    total,
)
from pipeline import metrics


def _number(  # noqa: PLR0913  what `Panel` has
    title: str,
    description: str,
    unit: Unit,
    expr: str,
    *,
    warn: float | None = None,
    alarm: float | None = None,
) -> Panel:
    return Panel(title, description, unit, [Line(expr, title)], Kind.NUMBER, warn, alarm)


_NOW: Final = Row(
    "At a glance",
    [
        _number(
            "Changes accepted",
            "Changes a second that RabbitMQ confirmed, so that they are safe.",
            Unit.PER_S,
            rate(metrics.changes_accepted),
        ),
        _number(
            "Answered 5xx",
            "Share of callouts answered with a server error. The orgs send these again.",
            Unit.SHARE,
            # Without a single one there is no such series.
            share(
                f"({rate(metrics.callouts, status=Like('5..'))} or vector(0))",
                rate(metrics.callouts),
            ),
            warn=0.001,
            alarm=0.05,
        ),
        _number(
            "Callout to commit, p99",
            "Of 100 changes, 99 were committed within this time from ingest's first byte.",
            Unit.SECONDS,
            quantile(0.99, metrics.receive_to_commit_seconds),
            warn=1,
            alarm=5,
        ),
        _number(
            "Commit to target, p99",
            "Of 100 outbox rows, 99 were delivered within this time from their commit.",
            Unit.SECONDS,
            quantile(0.99, metrics.outbox_seconds),
            warn=5,
            alarm=60,
        ),
        _number(
            "Oldest waiting change",
            "Age at most of the oldest message in any object's queue.",
            Unit.SECONDS,
            f"max ({least(metrics.queue_age_seconds, ['object'])})",
            warn=5,
            alarm=300,
        ),
        _number(
            "Dead letters, 24 h",
            "Changes and messages that became dead letters; `penstock dead list` has them.",
            Unit.COUNT,
            increase(metrics.dead_letters, over="24h"),
            warn=1,
        ),
        _number(
            "Oldest outbox row",
            "Age of the oldest row that the relay has to deliver.",
            Unit.SECONDS,
            greatest(metrics.outbox_age_seconds),
            warn=60,
            alarm=600,
        ),
        _number(
            "Targets left alone",
            "Targets that answer nothing, so that the relay's breaker is open.",
            Unit.COUNT,
            # Each relay has a breaker of its own for the same target.
            f"sum ({greatest(metrics.relay_breaker_open, ['kind'])})",
            alarm=1,
        ),
        _number(
            "Failing checks",
            "Checks of /readyz that fail, of all processes: which, the processes' page says.",
            Unit.COUNT,
            total(metrics.check_failing),
            alarm=1,
        ),
        _number(
            "Orgs in trouble",
            "Silent, with a wrong clock, or with parked changes; `penstock org list` says which.",
            Unit.COUNT,
            f"sum ({greatest(metrics.orgs_in_trouble, ['trouble'])})",
            warn=1,
        ),
        _number(
            "Processes that run",
            "Processes of Penstock that Prometheus reaches.",
            Unit.COUNT,
            'sum (up{job=~"penstock-.+"})',
        ),
        _number(
            "Processes that are away",
            "Processes that Prometheus knows and does not reach.",
            Unit.COUNT,
            'count (up{job=~"penstock-.+"} == 0) or vector(0)',
            alarm=1,
        ),
    ],
)
_IN: Final = Row(
    "In: callouts",
    [
        Panel(
            "Callouts by status",
            "202: accepted. 429: an org sends too much, or too much waits. 503: broker or database"
            " are away; both come again.",
            Unit.CALLOUTS_PER_S,
            [Line(rate(metrics.callouts, ["status"]), "{{status}}")],
            is_stacked=True,
        ),
        Panel(
            "Time to answer",
            "From a callout's first byte to its 202; a trigger waits for it no longer than this.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.callout_seconds), "p50"),
                Line(quantile(0.99, metrics.callout_seconds), "p99"),
            ],
        ),
        Panel(
            "Changes accepted by object",
            "What RabbitMQ confirmed.",
            Unit.PER_S,
            [Line(rate(metrics.changes_accepted, ["object"]), "{{object}}")],
            is_stacked=True,
        ),
        Panel(
            "RabbitMQ's confirms",
            "Time from publishing to the confirm. It is most of what a callout waits for.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.confirm_seconds), "p50"),
                Line(quantile(0.99, metrics.confirm_seconds), "p99"),
            ],
        ),
        Panel(
            "Messages by outcome",
            "Anything but `confirmed` becomes a 503: `timeout`, `refused` by a full queue or one"
            " without a leader, `unroutable`, `lost` with the connection.",
            Unit.PER_S,
            [Line(rate(metrics.publishes, ["outcome"]), "{{outcome}}")],
        ),
        Panel(
            "Signatures that failed",
            "Requests that were not proven to come from their org, by the limit that was reached.",
            Unit.CALLOUTS_PER_S,
            [Line(rate(metrics.failed_signatures, ["over"]), "{{over}}")],
        ),
    ],
)
_THROUGH: Final = Row(
    "Through: queues and workers",
    [
        Panel(
            "Callout to commit",
            "From ingest's first byte to the worker's commit.",
            Unit.SECONDS,
            [
                Line(
                    quantile(0.5, metrics.receive_to_commit_seconds, ["object"]), "{{object}} p50"
                ),
                Line(
                    quantile(0.99, metrics.receive_to_commit_seconds, ["object"]), "{{object}} p99"
                ),
            ],
        ),
        Panel(
            "Trigger to commit, p99",
            "From the trigger, by the org's clock, with the time in Salesforce's own queue.",
            Unit.SECONDS,
            [Line(quantile(0.99, metrics.capture_to_commit_seconds, ["object"]), "{{object}}")],
        ),
        Panel(
            "Changes committed",
            "By object, dead letters apart.",
            Unit.PER_S,
            [Line(rate(metrics.changes_committed, ["object"]), "{{object}}")],
            is_stacked=True,
        ),
        Panel(
            "Backlog by object",
            "Messages that wait in an object's queue; what workers hold comes on top.",
            Unit.COUNT,
            [Line(greatest(metrics.queue_messages, ["object"]), "{{object}}")],
            is_stacked=True,
        ),
        Panel(
            "Oldest waiting change by object",
            "Age at most of the oldest message in the queue: the least that a worker knows of.",
            Unit.SECONDS,
            [Line(least(metrics.queue_age_seconds, ["object"]), "{{object}}")],
        ),
        Panel(
            "Workers' time in use",
            "Of one worker's time for an object, how much it had a batch under way: near the number"
            " of workers there are too few.",
            Unit.SHARE,
            [Line(rate(metrics.busy_seconds, ["object"]), "{{object}}")],
        ),
        Panel(
            "Dead letters",
            "By object and reason.",
            Unit.PER_S,
            [Line(rate(metrics.dead_letters, ["object", "reason"]), "{{object}}: {{reason}}")],
        ),
        Panel(
            "Retries",
            "Batches and deliveries that have to be tried again, by reason.",
            Unit.PER_S,
            [Line(rate(metrics.retries, ["reason"]), "{{reason}}")],
        ),
        Panel(
            "Redeliveries",
            "Deliveries that had been handed over before: their worker died, or gave them back.",
            Unit.PER_S,
            [Line(rate(metrics.redeliveries, ["object"]), "{{object}}")],
        ),
    ],
)
_OUT: Final = Row(
    "Out: relay and targets",
    [
        Panel(
            "Commit to target",
            "From an outbox row's commit to its delivery.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.outbox_seconds), "p50"),
                Line(quantile(0.99, metrics.outbox_seconds), "p99"),
            ],
        ),
        Panel(
            "Attempts by outcome",
            "`delivered`; `refused` for good; `held`, tried again; `superseded`, `suppressed` and"
            " `delayed` without a request.",
            Unit.PER_S,
            [Line(rate(metrics.outbox_deliveries, ["outcome"]), "{{outcome}}")],
            is_stacked=True,
        ),
        Panel(
            "Targets' answers",
            "By kind of target and the hundred of the status; `none` where none came.",
            Unit.PER_S,
            [Line(rate(metrics.target_answers, ["kind", "status"]), "{{kind}} {{status}}")],
        ),
        Panel(
            "Outbox",
            "Rows to be delivered, at most 10,000; those put off by quiet hours and caps apart.",
            Unit.COUNT,
            [Line(greatest(metrics.outbox_open), "rows")],
        ),
        Panel(
            "Targets left alone",
            "Targets of a kind whose breaker is open: tried with one row every 5 to 60 s.",
            Unit.COUNT,
            [Line(greatest(metrics.relay_breaker_open, ["kind"]), "{{kind}}")],
        ),
        Panel(
            "Rules that matched",
            "Firings by object. Beyond a rule's ceiling enrolments are held; calls that go in"
            " circles are stopped.",
            Unit.PER_S,
            [
                Line(rate(metrics.firings, ["object"]), "{{object}}"),
                Line(rate(metrics.enrollments_held), "held"),
                Line(rate(metrics.calls_stopped), "stopped"),
            ],
        ),
    ],
)
_ON: Final = Row(
    "On: database and memory",
    [
        Panel(
            "Connections to the database",
            "Of all processes: busy, idle, and those that they may still open.",
            Unit.COUNT,
            [Line(total(metrics.pool_connections, ["state"]), "{{state}}")],
            is_stacked=True,
        ),
        Panel(
            "A worker's batch",
            "Time that one transaction takes, and how many changes are in one.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.batch_seconds), "p50"),
                Line(quantile(0.99, metrics.batch_seconds), "p99"),
            ],
        ),
        Panel(
            "Changes in a batch",
            "One where little is to be done, hundreds where much waits.",
            Unit.COUNT,
            [Line(mean(metrics.batch_changes), "mean")],
        ),
        Panel(
            "Memory",
            "Resident memory by process. It stays where it is, whatever the load.",
            Unit.BYTES,
            [Line('process_resident_memory_bytes{job=~"penstock-.+"}', "{{job}} {{instance}}")],
        ),
    ],
)
OVERVIEW: Final = Dashboard(
    "penstock",
    "Penstock",
    "Whether what was promised is kept: accepted, committed and delivered, how fast and how much"
    " waits.",
    [_NOW, _IN, _THROUGH, _OUT, _ON],
)
