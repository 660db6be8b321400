"""The alerts: each a symptom that somebody has to act on, with the runbook that says how.

Thresholds of time are written as minutes times 60, windows as minutes: `python -m tests.alerts`
makes the same rules faster by letting a minute be shorter.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

from ops.monitoring.promql import Like, greatest, increase, least, rate, share, total
from ops.monitoring.rabbitmq import JOB, MEMBERS
from pipeline import metrics

RUNBOOKS: Final = "deploy/runbooks"
_WINDOW: Final = "5m"
# Of what is seldom, and has to be seen by somebody: it stays up for this long.
_NEWS: Final = "15m"
_ON_PAGE: Final = "The page http://{{ $labels.instance }}/readyz says why."


class Severity(StrEnum):
    """Whom an alert reaches: `critical` wakes somebody, `warning` waits for the morning."""

    CRITICAL = "critical"
    WARNING = "warning"


class Alert(NamedTuple):
    """A rule: when `expr` has had a result for `minutes`, somebody is told."""

    name: str
    severity: Severity
    expr: str
    minutes: int
    summary: str
    description: str
    runbook: str

    def as_rule(self) -> dict[str, Any]:
        """Return what Prometheus reads."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": f"{self.minutes}m",
            "labels": {"severity": self.severity.value},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.runbook}.md",
            },
        }


class Group(NamedTuple):
    """Alerts about one part of the path."""

    name: str
    alerts: tuple[Alert, ...]


def _none_runs(kind: str) -> str:
    # Of what was never there, or is discovered no more, there is no series at all.
    return f'(sum (up{{job="penstock-{kind}"}}) or vector(0)) == 0'


_PROCESSES: Final = Group(
    "penstock-processes",
    (
        Alert(
            "PenstockIngestDown",
            Severity.CRITICAL,
            _none_runs("ingest"),
            1,
            "No ingest runs",
            "Prometheus reaches no ingest. Orgs' callouts fail, and they park their changes.",
            "process-down",
        ),
        Alert(
            "PenstockRelayDown",
            Severity.CRITICAL,
            _none_runs("relay"),
            2,
            "No relay runs",
            "Prometheus reaches no relay. Enrolments wait in the outbox.",
            "process-down",
        ),
        Alert(
            "PenstockWorkerMissing",
            Severity.CRITICAL,
            # Workers tell of the queues that they consume, and of no others.
            f"{increase(metrics.changes_accepted, ['object'], '10m')} > 0 unless on (object)"
            f" {greatest(metrics.queue_messages, ['object'])}",
            2,
            "No worker consumes {{ $labels.object }}",
            "Changes of {{ $labels.object }} come in, and no worker that Prometheus reaches takes"
            " them from their queue.",
            "worker-missing",
        ),
        Alert(
            "PenstockProcessDown",
            Severity.WARNING,
            'up{job=~"penstock-.+"} == 0',
            5,
            "{{ $labels.job }} {{ $labels.instance }} is away",
            "Prometheus knows this process and does not reach it.",
            "process-down",
        ),
        Alert(
            "PenstockNotReady",
            Severity.WARNING,
            f"{greatest(metrics.check_failing, ['job', 'instance', 'check'])} == 1",
            5,
            "{{ $labels.job }} cannot do its work: {{ $labels.check }}",
            f"The check {{{{ $labels.check }}}} of this process fails. {_ON_PAGE}",
            "not-ready",
        ),
    ),
)
_EDGE: Final = Group(
    "penstock-callouts",
    (
        Alert(
            "PenstockCalloutsRefused",
            Severity.CRITICAL,
            share(
                rate(metrics.callouts, over=_WINDOW, status=Like("5..")),
                rate(metrics.callouts, over=_WINDOW),
            )
            + " > 0.05",
            2,
            "{{ $value | humanizePercentage }} of callouts are answered 5xx",
            "Nothing is lost: orgs send again, and park what goes on failing.",
            "callouts-refused",
        ),
        Alert(
            "PenstockCalloutsPutOff",
            Severity.WARNING,
            share(
                rate(metrics.callouts, over=_WINDOW, status="429"),
                rate(metrics.callouts, over=_WINDOW),
            )
            + " > 0.1",
            10,
            "{{ $value | humanizePercentage }} of callouts are answered 429",
            "Orgs send more than workers take in, or than an org may. They send again, later.",
            "callouts-put-off",
        ),
        Alert(
            "PenstockSignaturesFailing",
            Severity.WARNING,
            f"{rate(metrics.failed_signatures, over=_WINDOW)} > 0.5",
            5,
            "{{ $value | humanize }} requests a second are not proven to be an org's",
            "An org has another secret than we, a clock is wrong, or somebody tries.",
            "signatures-failing",
        ),
    ),
)
_FLOW: Final = Group(
    "penstock-flow",
    (
        Alert(
            "PenstockBacklogOld",
            Severity.CRITICAL,
            # Each worker knows of a time that nothing waits for longer: the shortest is the truest.
            f"{least(metrics.queue_age_seconds, ['object'])} > 5 * 60",
            2,
            "Changes of {{ $labels.object }} wait for {{ $value | humanizeDuration }}",
            "The oldest message in the queue of {{ $labels.object }} is as old as that: workers are"
            " too few, or held up.",
            "backlog-old",
        ),
        Alert(
            "PenstockDeadLetters",
            Severity.WARNING,
            f"{increase(metrics.dead_letters, ['object', 'reason'], _NEWS)} > 0",
            0,
            "Dead letters of {{ $labels.object }}: {{ $labels.reason }}",
            "{{ $value | humanize }} in the last 15 minutes. They are kept until they are replayed"
            " or discarded.",
            "dead-letters",
        ),
        Alert(
            "PenstockRedeliveries",
            Severity.WARNING,
            share(
                rate(metrics.redeliveries, ["object"], _WINDOW),
                rate(metrics.deliveries_settled, ["object"], _WINDOW),
            )
            + " > 0.1",
            10,
            "{{ $value | humanizePercentage }} of deliveries of {{ $labels.object }} come again",
            "Workers die over what they have in hand, or give it back.",
            "redeliveries",
        ),
        Alert(
            "PenstockEnrollmentsHeld",
            Severity.WARNING,
            f"{increase(metrics.enrollments_held, over=_NEWS)} > 0",
            0,
            "A rule is beyond its ceiling",
            "{{ $value | humanize }} enrolments were held in the last 15 minutes, until somebody"
            " releases them.",
            "enrollments-held",
        ),
    ),
)
_RELAY: Final = Group(
    "penstock-relay",
    (
        Alert(
            "PenstockTargetUnreachable",
            Severity.CRITICAL,
            f"{greatest(metrics.relay_breaker_open, ['kind'])} > 0",
            5,
            "{{ $value }} targets of kind {{ $labels.kind }} answer nothing",
            "The relay leaves them alone and tries each with a row at times. Rows wait, in order.",
            "target-unreachable",
        ),
        Alert(
            "PenstockOutboxOld",
            Severity.CRITICAL,
            f"{greatest(metrics.outbox_age_seconds)} > 10 * 60",
            5,
            "Enrolments wait for {{ $value | humanizeDuration }}",
            "The oldest row that the relay has to deliver is as old as that.",
            "outbox-old",
        ),
        Alert(
            "PenstockDeliveriesRefused",
            Severity.WARNING,
            share(
                rate(metrics.outbox_deliveries, ["object"], _WINDOW, outcome="refused"),
                rate(
                    metrics.outbox_deliveries,
                    ["object"],
                    _WINDOW,
                    outcome=Like("refused|delivered"),
                ),
            )
            + " > 0.1",
            5,
            "{{ $value | humanizePercentage }} of what {{ $labels.object }} brought is refused",
            "A target says for good that it does not take them: these enrolments have failed.",
            "deliveries-refused",
        ),
    ),
)
_SALESFORCE: Final = Group(
    "penstock-salesforce",
    (
        Alert(
            "PenstockOrgSilent",
            Severity.WARNING,
            f"{greatest(metrics.orgs_in_trouble, trouble='silent')} > 0",
            5,
            "{{ $value }} orgs are silent",
            "Connected, and not heard of for 2 hours, though each sends a heartbeat every hour.",
            "org-silent",
        ),
        Alert(
            "PenstockOrgClockOff",
            Severity.WARNING,
            f"{greatest(metrics.orgs_in_trouble, trouble='clock_off')} > 0",
            5,
            "The clocks of {{ $value }} orgs and ours differ by 150 s or more",
            "Past 300 s their callouts are refused. Mostly it is the clock of this machine.",
            "org-clock",
        ),
        Alert(
            "PenstockOrgCannotSend",
            Severity.WARNING,
            f"{greatest(metrics.orgs_in_trouble, trouble='cannot_send')} > 0",
            5,
            "{{ $value }} orgs have parked changes that they cannot send",
            "They gave up sending them by themselves, and wait for a person in Salesforce.",
            "org-parked",
        ),
        Alert(
            "PenstockChangesLost",
            Severity.WARNING,
            f"{increase(metrics.gaps, over=_NEWS, state='confirmed')} > 0",
            0,
            "{{ $value | humanize }} changes were lost before they left Salesforce",
            "Gaps that nothing filled. The records are right again, and rules were shown what was"
            " missed.",
            "gaps",
        ),
        Alert(
            "PenstockAuditStopped",
            Severity.WARNING,
            f"{greatest(metrics.audits_open, state='stopped')} > 0",
            5,
            "{{ $value }} audits wait for somebody to look",
            "An org's list lacks so many records that they are not taken for deleted.",
            "audit-stopped",
        ),
    ),
)
_SERVERS: Final = Group(
    "penstock-servers",
    (
        Alert(
            "PenstockDatabaseUnreachable",
            Severity.CRITICAL,
            # Ingest reads the orgs every 30 s, however long a minute is.
            f"{total(metrics.check_failing, ['job'], check=Like('database|outbox'))} > 0"
            f" or {greatest(metrics.registry_age_seconds, ['job'])} > 180",
            2,
            "{{ $labels.job }} cannot work with PostgreSQL",
            "Nothing is lost: callouts are taken in for orgs that are known, and wait in the"
            " queues.",
            "database-unreachable",
        ),
        Alert(
            "PenstockBrokerUnreachable",
            Severity.CRITICAL,
            f"{total(metrics.check_failing, ['job'], check='broker')} > 0",
            2,
            "{{ $value }} of {{ $labels.job }} cannot work with RabbitMQ",
            "Ingest answers 503, and orgs send again; workers have nothing to do.",
            "broker-unreachable",
        ),
        Alert(
            "PenstockUpkeepHeld",
            Severity.WARNING,
            # Every process has the gauge, and only workers set it.
            f"{least(metrics.upkeep_held, job='penstock-worker')} == 1",
            30,
            "No worker can keep the history's partitions",
            "Partitions are made two weeks ahead. When these are used up, workers hold changes.",
            "upkeep-held",
        ),
    ),
)
# From RabbitMQ itself, not from Penstock's processes.
_RABBITMQ: Final = Group(
    "rabbitmq",
    (
        Alert(
            "PenstockBrokerAlarm",
            Severity.CRITICAL,
            f'rabbitmq_alarms_memory_used_watermark{{job="{JOB}"}} == 1'
            f' or rabbitmq_alarms_free_disk_space_watermark{{job="{JOB}"}} == 1',
            1,
            "RabbitMQ on {{ $labels.instance }} is short of memory or disk",
            "While its alarm is up no node of the cluster takes anything, and ingest answers 503.",
            "broker-alarm",
        ),
        Alert(
            "PenstockBrokerNodeDown",
            Severity.WARNING,
            f'up{{job="{JOB}"}} == 0',
            2,
            "RabbitMQ on {{ $labels.instance }} is away",
            "Queues lack this node's member. Without a second of three nothing is accepted.",
            "broker-node-down",
        ),
        Alert(
            "PenstockQueueLacksMember",
            Severity.WARNING,
            f'{MEMBERS} < on () group_left () clamp_max(sum (up{{job="{JOB}"}}), 3)',
            15,
            "{{ $labels.queue }} has members on {{ $value }} nodes only",
            "More nodes run than have a member of this queue: it outlives fewer of them than it"
            " could.",
            "queue-lacks-member",
        ),
    ),
)
GROUPS: Final = (_PROCESSES, _EDGE, _FLOW, _RELAY, _SALESFORCE, _SERVERS, _RABBITMQ)


def rules() -> dict[str, Any]:
    """Return Prometheus' file of rules."""
    return {
        "groups": [
            {"name": group.name, "rules": [alert.as_rule() for alert in group.alerts]}
            for group in GROUPS
        ]
    }
