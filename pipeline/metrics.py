"""Every metric: its name, kind, unit and meaning, once. Labels take values of closed sets only."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
# The label of what is of no object of Penstock's.
NO_OBJECT: Final = "none"
_COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

check_failing = Gauge(
    "penstock_check_failing",
    "Whether a check of `/readyz` fails, by which this process cannot do its work: 1 or 0.",
    ["check"],
)
pool_connections = Gauge(
    "penstock_pool_connections",
    "Connections to the database that a process may open: `busy`, `idle` or `unopened`.",
    ["state"],
)

callouts = Counter(
    "penstock_callouts", "Requests that ingest answered, by route and status.", ["route", "status"]
)
failed_signatures = Counter(
    "penstock_failed_signatures",
    "Requests that were not proven to come from their org, by the limit that was reached.",
    ["over"],
)
callout_seconds = Histogram(
    "penstock_callout_seconds",
    "Time from a callout's first byte to its answer, in seconds.",
    buckets=SECONDS,
)
changes_accepted = Counter(
    "penstock_changes_accepted", "Changes that the broker confirmed.", ["object"]
)
confirm_seconds = Histogram(
    "penstock_confirm_seconds",
    "Time from publishing a message to the broker's confirm, in seconds.",
    buckets=SECONDS,
)
publishes = Counter(
    "penstock_publishes", "Messages published, by what the broker made of them.", ["outcome"]
)
callouts_per_message = Histogram(
    "penstock_callouts_per_message", "Callouts grouped into one message.", buckets=_COUNTS
)
in_flight_bytes = Gauge("penstock_in_flight_bytes", "Bodies that ingest holds, in bytes.")
connections = Gauge("penstock_connections", "Connections that ingest holds open.")
connections_ended = Counter(
    "penstock_connections_ended",
    "Connections that ingest ended: too slow, evicted by a new one, or above the bound.",
    ["reason"],
)
backlog_wait_seconds = Gauge(
    "penstock_backlog_wait_seconds",
    "How long what this ingest takes in waits for workers, as they tell, in seconds.",
    ["object"],
)
registry_age_seconds = Gauge(
    "penstock_registry_age_seconds", "Time since the org registry was last read, in seconds."
)
org_clock_skew_seconds = Histogram(
    "penstock_org_clock_skew_seconds",
    "Difference of an org's clock from ours, as heartbeats tell it, in seconds.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 150, 300, 600, 3600),
)
orgs_in_trouble = Gauge(
    "penstock_orgs_in_trouble",
    "Connected orgs that were not heard of for 2 h (`silent`), whose clock is off by 150 s or more"
    " (`clock_off`), or that have parked changes which they cannot send (`cannot_send`).",
    ["trouble"],
)

deliveries_settled = Counter(
    "penstock_deliveries_settled",
    "Deliveries that workers settled, by outcome.",
    ["object", "outcome"],
)
redeliveries = Counter(
    "penstock_redeliveries",
    "Deliveries that had been handed over before; what was replayed apart.",
    ["object"],
)
changes_committed = Counter(
    "penstock_changes_committed", "Changes that workers committed; dead letters apart.", ["object"]
)
changes_forgotten = Counter(
    "penstock_changes_forgotten",
    "Changes of people who were forgotten: dropped, and acked.",
    ["object"],
)
dead_letters = Counter(
    "penstock_dead_letters",
    "Changes and messages that became dead letters, by reason.",
    ["object", "reason"],
)
rows_cleared = Counter(
    "penstock_rows_cleared",
    "Rows that upkeep deleted, by table, as the tables' rules say.",
    ["table"],
)
upkeep_held = Gauge(
    "penstock_upkeep_held",
    "Whether a worker's last upkeep of partitions and old rows failed: 1 or 0.",
)
partitions_dropped = Counter(
    "penstock_partitions_dropped", "Partitions of the history dropped past the retention."
)
busy_seconds = Counter(
    "penstock_busy_seconds",
    "Time in which a worker had a batch under way, shared out by changes, in seconds.",
    ["object"],
)
batch_changes = Histogram(
    "penstock_batch_changes", "Changes in one transaction of a worker.", buckets=_COUNTS
)
batch_seconds = Histogram(
    "penstock_batch_seconds", "Time one transaction of a worker took, in seconds.", buckets=SECONDS
)
receive_to_commit_seconds = Histogram(
    "penstock_receive_to_commit_seconds",
    "Time from a callout's arrival at ingest to its commit, in seconds.",
    ["object"],
    buckets=SECONDS,
)
capture_to_commit_seconds = Histogram(
    "penstock_capture_to_commit_seconds",
    "Time from a trigger's capture, by the org's clock, to its commit, in seconds.",
    ["object"],
    buckets=SECONDS,
)
stage_seconds = Histogram(
    "penstock_stage_seconds",
    "Time a worker's batch spent in a stage, in seconds; decoding and settling per delivery.",
    ["stage"],
    buckets=SECONDS,
)
deliveries_in_hand = Gauge(
    "penstock_deliveries_in_hand", "Deliveries that a worker holds unsettled.", ["object"]
)
queue_messages = Gauge(
    "penstock_queue_messages", "Messages that wait in an object's queue.", ["object"]
)
queue_age_seconds = Gauge(
    "penstock_queue_age_seconds",
    "Age at most of the oldest message in an object's queue, as this worker knows it, in seconds.",
    ["object"],
)
dead_queue_messages = Gauge(
    "penstock_dead_queue_messages", "Messages in an object's dead queue.", ["object"]
)
retries = Counter(
    "penstock_retries", "Times a batch or a delivery has to be tried again, by reason.", ["reason"]
)
evaluations = Counter("penstock_evaluations", "Changes that rules were asked about.", ["object"])
firings = Counter("penstock_firings", "Rules that matched a change.", ["object"])
sweep_rows = Counter(
    "penstock_sweep_rows",
    "Rows and records that workers' sweeps dealt with, by outcome.",
    ["outcome"],
)
gaps = Counter(
    "penstock_gaps", "Gaps in records' changes: suspected, and what became of them.", ["state"]
)
audits_open = Gauge(
    "penstock_audits_open",
    "Audits that are under way, or stopped until an operator looks.",
    ["state"],
)
enrollments_held = Counter(
    "penstock_enrollments_held", "Enrolments held because their rule was beyond its ceiling."
)
calls_stopped = Counter(
    "penstock_calls_stopped", "Calls of rules that the guard against loops stopped."
)

outbox_deliveries = Counter(
    "penstock_outbox_deliveries", "Attempts of the relay, by outcome.", ["object", "outcome"]
)
outbox_seconds = Histogram(
    "penstock_outbox_seconds",
    "Time from an outbox row's commit to its delivery, in seconds.",
    ["object"],
    buckets=SECONDS,
)
outbox_open = Gauge(
    "penstock_outbox_open",
    "Rows that the relay has to deliver, at most 10,000; put off ones apart.",
)
outbox_age_seconds = Gauge(
    "penstock_outbox_age_seconds", "Age of the oldest of these rows, in seconds."
)
target_answers = Counter(
    "penstock_target_answers",
    "Answers of targets, by the hundred of their status; `none` where none came.",
    ["kind", "status"],
)
relay_breaker_open = Gauge(
    "penstock_relay_breaker_open", "Targets of a kind that the relay leaves alone.", ["kind"]
)
