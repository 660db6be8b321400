"""The dashboard of what RabbitMQ says of itself, by its plug-in rabbitmq_prometheus.

Source: RabbitMQ documentation, "Monitoring with Prometheus and Grafana"; the names are those of
3.10 and of 4.x.
"""

from __future__ import annotations

from typing import Final

from ops.monitoring.dashboard import Dashboard, Line, Panel, Row, Unit

JOB: Final = "rabbitmq"
QUEUES_JOB: Final = "rabbitmq-queues"
# A queue's member on each node tells its log's index there.
MEMBERS: Final = (
    f'count by (queue) (rabbitmq_detailed_raft_log_commit_index{{job="{QUEUES_JOB}",'
    ' queue=~"penstock[.].+"})'
)
# Every name that is not Penstock's, so that a test finds the one that is mistyped.
FOREIGN: Final = frozenset(
    {
        "up",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "rabbitmq_alarms_free_disk_space_watermark",
        "rabbitmq_alarms_memory_used_watermark",
        "rabbitmq_connections",
        "rabbitmq_consumers",
        "rabbitmq_detailed_queue_messages_ready",
        "rabbitmq_detailed_queue_messages_unacked",
        "rabbitmq_detailed_raft_log_commit_index",
        "rabbitmq_disk_space_available_bytes",
        "rabbitmq_disk_space_available_limit_bytes",
        "rabbitmq_global_messages_acknowledged_total",
        "rabbitmq_global_messages_received_total",
        "rabbitmq_global_messages_redelivered_total",
        "rabbitmq_global_messages_unroutable_returned_total",
        "rabbitmq_process_resident_memory_bytes",
        "rabbitmq_raft_entry_commit_latency_seconds",
        "rabbitmq_resident_memory_limit_bytes",
    }
)
_OURS: Final = f'job="{JOB}"'
_QUEUES: Final = f'job="{QUEUES_JOB}", queue=~"penstock[.].+"'


def _rate(name: str) -> str:
    return f"sum (rate({name}{{{_OURS}}}[$__rate_interval]))"


_NODES: Final = Row(
    "Nodes",
    [
        Panel(
            "Nodes",
            "Nodes that Prometheus reaches. Without a majority of three nothing is accepted.",
            Unit.COUNT,
            [Line(f"sum (up{{{_OURS}}})", "up"), Line(f"count (up{{{_OURS}}})", "known")],
        ),
        Panel(
            "Alarms",
            "1 while a node is short of memory or disk: then no node takes anything, and ingest"
            " answers 503.",
            Unit.COUNT,
            [
                Line(f"rabbitmq_alarms_memory_used_watermark{{{_OURS}}}", "{{instance}} memory"),
                Line(f"rabbitmq_alarms_free_disk_space_watermark{{{_OURS}}}", "{{instance}} disk"),
            ],
            alarm=1,
        ),
        Panel(
            "Connections and consumers",
            "Each process has a few connections; each object's queue a consumer a worker.",
            Unit.COUNT,
            [
                Line(f"sum (rabbitmq_connections{{{_OURS}}})", "connections"),
                Line(f"sum (rabbitmq_consumers{{{_OURS}}})", "consumers"),
            ],
        ),
        Panel(
            "Memory until the alarm",
            "Used, and the limit at which the node raises its alarm.",
            Unit.BYTES,
            [
                Line(f"rabbitmq_process_resident_memory_bytes{{{_OURS}}}", "{{instance}} used"),
                Line(f"rabbitmq_resident_memory_limit_bytes{{{_OURS}}}", "{{instance}} limit"),
            ],
        ),
        Panel(
            "Free disk until the alarm",
            "Free, and the limit at which the node raises its alarm.",
            Unit.BYTES,
            [
                Line(f"rabbitmq_disk_space_available_bytes{{{_OURS}}}", "{{instance}} free"),
                Line(f"rabbitmq_disk_space_available_limit_bytes{{{_OURS}}}", "{{instance}} limit"),
            ],
        ),
        Panel(
            "Time to commit in a quorum queue",
            "Mean time until a majority has an entry: what a confirm waits for.",
            Unit.SECONDS,
            [
                Line(
                    # A node's own, or one a queue with prometheus.return_per_object_metrics.
                    f"avg by (instance) (rabbitmq_raft_entry_commit_latency_seconds{{{_OURS}}})",
                    "{{instance}}",
                )
            ],
        ),
    ],
)
_QUEUE_ROW: Final = Row(
    "Queues",
    [
        Panel(
            "Ready",
            "Messages that wait in each queue, as the broker counts them.",
            Unit.COUNT,
            [
                Line(
                    f"max by (queue) (rabbitmq_detailed_queue_messages_ready{{{_QUEUES}}})",
                    "{{queue}}",
                )
            ],
            is_stacked=True,
        ),
        Panel(
            "In hand",
            "Messages that were handed over and are not settled.",
            Unit.COUNT,
            [
                Line(
                    f"max by (queue) (rabbitmq_detailed_queue_messages_unacked{{{_QUEUES}}})",
                    "{{queue}}",
                )
            ],
            is_stacked=True,
        ),
        Panel(
            "Members",
            "Nodes that have a member of the queue: three in a cluster of three.",
            Unit.COUNT,
            [Line(MEMBERS, "{{queue}}")],
        ),
        Panel(
            "Messages",
            "Received from publishers, acknowledged and redelivered to consumers, and returned"
            " because no queue was there.",
            Unit.PER_S,
            [
                Line(_rate("rabbitmq_global_messages_received_total"), "received"),
                Line(_rate("rabbitmq_global_messages_acknowledged_total"), "acknowledged"),
                Line(_rate("rabbitmq_global_messages_redelivered_total"), "redelivered"),
                Line(_rate("rabbitmq_global_messages_unroutable_returned_total"), "returned"),
            ],
        ),
    ],
)
RABBITMQ: Final = Dashboard(
    "penstock-rabbitmq",
    "Penstock: RabbitMQ",
    "What RabbitMQ says of itself: alarms, disk, members of quorum queues. Not Penstock's metrics.",
    [_NODES, _QUEUE_ROW],
)
