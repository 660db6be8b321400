"""How the path goes, object by object: ingest, queue, worker, rules, outbox, target.

What processes counted comes from the database (`pipeline.tally`), depth and consumers from
RabbitMQ.
"""

from ops.flow.drain import Drain, workers_needed
from ops.flow.latency import Latency
from ops.flow.processes import Process, processes
from ops.flow.queues import Queues, read_queues
from ops.flow.read import read_flow
from ops.flow.whole import Flow, Minute, ObjectFlow, Outbox
from pipeline.queues import Queue

__all__ = [
    "Drain",
    "Flow",
    "Latency",
    "Minute",
    "ObjectFlow",
    "Outbox",
    "Process",
    "Queue",
    "Queues",
    "processes",
    "read_flow",
    "read_queues",
    "workers_needed",
]
