"""Every metric: its name, kind, unit and meaning, once. Labels take values of closed sets only."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
# The label of what is of no object of Penstock's.
NO_OBJECT: Final = "none"
_COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

callouts = Counter(
    "penstock_callouts", "Requests that ingest answered, by route and status.", ["route", "status"]
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
callouts_per_message = Histogram(
    "penstock_callouts_per_message", "Callouts grouped into one message.", buckets=_COUNTS
)
in_flight_bytes = Gauge("penstock_in_flight_bytes", "Bodies that ingest holds, in bytes.")
registry_age_seconds = Gauge(
    "penstock_registry_age_seconds", "Time since the org registry was last read, in seconds."
)

deliveries_settled = Counter(
    "penstock_deliveries_settled",
    "Deliveries that workers settled, by outcome.",
    ["object", "outcome"],
)
changes_committed = Counter(
    "penstock_changes_committed", "Changes that workers committed; dead letters apart.", ["object"]
)
dead_letters = Counter(
    "penstock_dead_letters", "Changes that became dead letters, by reason.", ["object", "reason"]
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
holds = Counter("penstock_holds", "Times a worker held its batch because of a transient error.")
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
relay_breaker_open = Gauge(
    "penstock_relay_breaker_open", "Targets of a kind that the relay leaves alone.", ["kind"]
)
