"""The dashboard of what orgs tell of themselves, and of what keeps both sides the same."""

from __future__ import annotations

from typing import Final

from ops.monitoring.dashboard import Dashboard, Line, Panel, Row, Unit
from ops.monitoring.promql import Like, greatest, increase, quantile, rate
from pipeline import metrics

_ORGS: Final = Row(
    "Orgs",
    [
        Panel(
            "Orgs in trouble",
            "`silent` for 2 h, `clock_off` by 150 s (past 300 s callouts are refused), or"
            " `cannot_send` parked changes. `penstock org list` says which.",
            Unit.COUNT,
            [Line(greatest(metrics.orgs_in_trouble, ["trouble"]), "{{trouble}}")],
            warn=1,
        ),
        Panel(
            "Heartbeats",
            "Each connected org sends one an hour: over the hour, as many as there are orgs.",
            Unit.COUNT,
            [Line(increase(metrics.callouts, ["status"], "1h", route="heartbeat"), "{{status}}")],
        ),
        Panel(
            "Orgs' clocks",
            "How far off they are, as heartbeats tell.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.org_clock_skew_seconds, over="1h"), "p50"),
                Line(quantile(0.99, metrics.org_clock_skew_seconds, over="1h"), "p99"),
            ],
        ),
        Panel(
            "Callouts that were refused",
            "4xx by route: 401 is a signature, 403 an org that is paused or not connected, 429 too"
            " much.",
            Unit.CALLOUTS_PER_S,
            [
                Line(
                    rate(metrics.callouts, ["route", "status"], status=Like("4..")),
                    "{{route}} {{status}}",
                )
            ],
        ),
        Panel(
            "Trigger to commit",
            "By the org's clock: minutes where Salesforce's own jobs wait, hours where changes were"
            " parked.",
            Unit.SECONDS,
            [
                Line(quantile(0.5, metrics.capture_to_commit_seconds), "p50"),
                Line(quantile(0.99, metrics.capture_to_commit_seconds), "p99"),
            ],
        ),
        Panel(
            "Handshakes, conditions",
            "Orgs that connect, and orgs that ask what to tell.",
            Unit.CALLOUTS_PER_S,
            [
                Line(
                    rate(metrics.callouts, ["route", "status"], route=Like("handshake|conditions")),
                    "{{route}} {{status}}",
                )
            ],
        ),
    ],
)
_HEALING: Final = Row(
    "Gaps, loads and audits",
    [
        Panel(
            "Gaps",
            "`suspected`: a change's old value is not what was stored. `filled`: it came after all."
            " `confirmed`: it was lost in Salesforce, and rules were shown the step.",
            Unit.COUNT,
            [Line(increase(metrics.gaps, ["state"], "1h"), "{{state}}")],
        ),
        Panel(
            "Audits",
            "`running`, or `stopped` until somebody looks: `penstock audit show`.",
            Unit.COUNT,
            [Line(greatest(metrics.audits_open, ["state"]), "{{state}}")],
        ),
        Panel(
            "Pages of audits",
            "Orgs' lists of their records, as they come.",
            Unit.CALLOUTS_PER_S,
            [Line(rate(metrics.callouts, ["status"], route="audit"), "{{status}}")],
        ),
        Panel(
            "Looked-up records",
            "Rows that waited for one, or are asked again for its change, by what became of them.",
            Unit.PER_S,
            [Line(rate(metrics.sweep_rows, ["outcome"]), "{{outcome}}")],
        ),
    ],
)
SALESFORCE: Final = Dashboard(
    "penstock-salesforce",
    "Penstock: Salesforce",
    "What orgs tell of themselves, and what keeps both sides the same.",
    [_ORGS, _HEALING],
)
