"""The dashboard of each process: what it does with its time, its memory and its connections."""

from __future__ import annotations

from typing import Final

from ops.monitoring.dashboard import Choice, Dashboard, Line, Panel, Row, Unit
from ops.monitoring.promql import Like, greatest, mean, quantile, rate, total
from pipeline import metrics

_WHERE: Final = {"job": Like("$job"), "instance": Like("$instance")}
_EACH: Final = ("instance",)
_OURS: Final = 'job=~"$job", instance=~"$instance"'

_ALL: Final = Row(
    "Every process",
    [
        Panel(
            "Failing checks",
            "1 while a check of /readyz fails: `curl http://INSTANCE/readyz` says why.",
            Unit.COUNT,
            [
                Line(
                    greatest(metrics.check_failing, ["instance", "check"], **_WHERE),
                    "{{instance}} {{check}}",
                )
            ],
        ),
        Panel(
            "Memory",
            "Resident memory.",
            Unit.BYTES,
            [Line(f"process_resident_memory_bytes{{{_OURS}}}", "{{instance}}")],
        ),
        Panel(
            "Processor",
            "Of one core; a process has one thread of Python, so that 100 % is all it can do.",
            Unit.SHARE,
            [Line(f"rate(process_cpu_seconds_total{{{_OURS}}}[$__rate_interval])", "{{instance}}")],
        ),
        Panel(
            "Connections to the database",
            "Busy ones. Where none is idle nor unopened, work waits for one"
            " (PENSTOCK_DATABASE__POOL_SIZE).",
            Unit.COUNT,
            [
                Line(
                    total(metrics.pool_connections, ["instance", "state"], **_WHERE),
                    "{{instance}} {{state}}",
                )
            ],
        ),
        Panel(
            "Runs since",
            "Time since each process started: what falls back to zero was started again.",
            Unit.SECONDS,
            [Line(f"time() - process_start_time_seconds{{{_OURS}}}", "{{instance}}")],
        ),
        Panel(
            "Open files",
            "Sockets and files that each process holds open.",
            Unit.COUNT,
            [Line(f"process_open_fds{{{_OURS}}}", "{{instance}}")],
        ),
    ],
)
_INGEST: Final = Row(
    "Ingest",
    [
        Panel(
            "Requests by route",
            "All answers, whatever their status.",
            Unit.CALLOUTS_PER_S,
            [Line(rate(metrics.callouts, ["route", "status"], **_WHERE), "{{route}} {{status}}")],
        ),
        Panel(
            "Connections",
            "Held open (PENSTOCK_INGEST__MAX_CONNECTIONS bounds them).",
            Unit.COUNT,
            [Line(total(metrics.connections, _EACH, **_WHERE), "{{instance}}")],
        ),
        Panel(
            "Connections ended",
            "`slow` senders, `evicted` for a new one, or `full`: none could be evicted.",
            Unit.PER_S,
            [Line(rate(metrics.connections_ended, ["reason"], **_WHERE), "{{reason}}")],
        ),
        Panel(
            "Bodies in flight",
            "Bytes of bodies held at once (PENSTOCK_INGEST__MAX_IN_FLIGHT_BYTES bounds them).",
            Unit.BYTES,
            [Line(total(metrics.in_flight_bytes, _EACH, **_WHERE), "{{instance}}")],
        ),
        Panel(
            "Callouts in a message",
            "Callouts that came at the same moment share a message and its confirm.",
            Unit.COUNT,
            [Line(mean(metrics.callouts_per_message, _EACH, **_WHERE), "{{instance}}")],
        ),
        Panel(
            "Work that waits",
            "Of what this ingest took in, in seconds of the workers' time; past"
            " PENSTOCK_INGEST__BACKLOG_S the orgs with more than their share get 429.",
            Unit.SECONDS,
            [
                Line(
                    greatest(metrics.backlog_wait_seconds, ["instance", "object"], **_WHERE),
                    "{{instance}} {{object}}",
                )
            ],
        ),
        Panel(
            "Age of the org registry",
            "Time since the orgs were read; every 30 s while the database is there.",
            Unit.SECONDS,
            [Line(greatest(metrics.registry_age_seconds, _EACH, **_WHERE), "{{instance}}")],
        ),
    ],
)
_WORKER: Final = Row(
    "Workers",
    [
        Panel(
            "Deliveries settled",
            "`acked`, `dead` for the broker's dead queue, `recorded` from there as dead letters.",
            Unit.PER_S,
            [
                Line(
                    rate(metrics.deliveries_settled, ["object", "outcome"], **_WHERE),
                    "{{object}} {{outcome}}",
                )
            ],
        ),
        Panel(
            "Deliveries in hand",
            "Held unsettled (PENSTOCK_WORKER__PREFETCH_COUNT bounds them).",
            Unit.COUNT,
            [
                Line(
                    total(metrics.deliveries_in_hand, ["instance", "object"], **_WHERE),
                    "{{instance}} {{object}}",
                )
            ],
        ),
        Panel(
            "Time of a stage, p99",
            "What a batch's time goes into; decoding and settling are per delivery.",
            Unit.SECONDS,
            [Line(quantile(0.99, metrics.stage_seconds, ["stage"], **_WHERE), "{{stage}}")],
        ),
        Panel(
            "Time in use",
            "Share of a worker's time in which it had a batch under way.",
            Unit.SHARE,
            [
                Line(
                    rate(metrics.busy_seconds, ["instance", "object"], **_WHERE),
                    "{{instance}} {{object}}",
                )
            ],
        ),
        Panel(
            "Rules asked",
            "Changes that rules were asked about.",
            Unit.PER_S,
            [Line(rate(metrics.evaluations, ["object"], **_WHERE), "{{object}}")],
        ),
        Panel(
            "Sweeps",
            "What waited for a looked-up record, or has to be asked again, by outcome.",
            Unit.PER_S,
            [Line(rate(metrics.sweep_rows, ["outcome"], **_WHERE), "{{outcome}}")],
        ),
        Panel(
            "Messages in dead queues",
            "What the broker set aside and nobody has recorded yet.",
            Unit.COUNT,
            [Line(greatest(metrics.dead_queue_messages, ["object"], **_WHERE), "{{object}}")],
        ),
        Panel(
            "Changes of forgotten people",
            "Dropped, and acked.",
            Unit.PER_S,
            [Line(rate(metrics.changes_forgotten, ["object"], **_WHERE), "{{object}}")],
        ),
        Panel(
            "Upkeep",
            "Rows cleared away by table, and partitions dropped. `held`: 1 while it fails.",
            Unit.COUNT,
            [
                Line(rate(metrics.rows_cleared, ["table"], **_WHERE), "{{table}}"),
                Line(rate(metrics.partitions_dropped, **_WHERE), "partitions dropped"),
                Line(greatest(metrics.upkeep_held, **_WHERE), "held"),
            ],
        ),
    ],
)
PROCESSES: Final = Dashboard(
    "penstock-processes",
    "Penstock: processes",
    "What each process does with its time, its memory and its connections.",
    [_ALL, _INGEST, _WORKER],
    [
        Choice("job", "Kind", 'label_values(process_start_time_seconds{job=~"penstock-.+"}, job)'),
        Choice(
            "instance",
            "Process",
            'label_values(process_start_time_seconds{job=~"$job"}, instance)',
        ),
    ],
)
