"""What becomes of every table's rows: they stay, and why, or they are cleared away, and when.

What a change may still have to be compared with stays for as long as that change can come: at most
the retention, beyond which it is a dead letter `out_of_window`. What decides whether an effect was
had already (`firing`, `enrollment`, `enrollment_event`, words of the outbox) stays for ever.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from pipeline.tally import KEPT_HOURS

# Partitions are weekly: some of the history is older than the retention by a week and a day. What
# belongs to a change goes no earlier than the change.
MARGIN_DAYS: Final = 8
_COUNTED_DAYS: Final = 8

_AGO: Final = "now() - $1::interval"
_AGO_MS: Final = f"(extract(epoch FROM {_AGO}) * 1000)::bigint"
_AGO_HOUR: Final = f"(extract(epoch FROM {_AGO}) / 3600)::bigint"
_AGO_DATE: Final = f"({_AGO})::date"

HISTORY: Final = None


class Kept(NamedTuple):
    """Rows stay."""

    because: str


class Cleared(NamedTuple):
    """Rows go once `by` is longer ago than `hours`; None stands for as far as the history reaches.

    `only` is a condition that they have to meet as well, `clock` what `by` is compared with.
    """

    because: str
    by: str
    hours: int | None = HISTORY
    only: str = "true"
    clock: str = _AGO

    def statement(self, table: str) -> str:
        """Return what deletes a page: $1 the age, $2 the most rows. What is in use waits."""
        return f"""
            DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {table} WHERE {self.only} AND {self.by} < {self.clock}
                ORDER BY {self.by} LIMIT $2 FOR UPDATE SKIP LOCKED))"""  # noqa: S608  all from here


class ClearedElsewhere(NamedTuple):
    """Rows go with something larger."""

    how: str
    because: str


Rule: TypeAlias = Kept | Cleared | ClearedElsewhere

_CONFIGURATION: Final = Kept("what people set up: it grows by their hands")
_BY_RECORD: Final = Kept("the state of a record: the next change is compared with it, however late")
_EFFECT: Final = Kept("says that an effect was had: a second one must not be, and `explain` asks")
_RULING: Final = Kept("what decided in the past: `explain` asks")
_AUDIT: Final = ClearedElsewhere(
    "with its audit, once that is older than the history and not the org's newest",
    "records that were healed meanwhile",
)

RULES: Final[dict[str, Rule]] = {
    # The history, and what belongs to a change of it.
    "change": ClearedElsewhere(
        "whole partitions, detached and dropped once all of one is older than the retention",
        "the retention says how long the history is kept",
    ),
    "redelivery": Cleared("`explain` shows it with its change", "captured_at", clock=_AGO_MS),
    "waiting": Cleared(
        "an ended wait is shown with its change", "settled_at", only="state <> 'waiting'"
    ),
    "reevaluation": Cleared(
        "a failed one is shown with its change", "served_at", only="stage = 'failed'"
    ),
    "gap": Cleared(
        "a change that could still fall into its span would be older than the history",
        "settled_at",
        only="settled_at IS NOT NULL",
    ),
    "delivery_try": Cleared(
        "left by a worker that died on a change which another one settled", "tried_at"
    ),
    "dead_letter": Cleared(
        "what is open waits for somebody; the rest was looked at",
        "settled_at",
        only="state <> 'open'",
    ),
    # Effects.
    "firing": _EFFECT,
    "enrollment": _EFFECT,
    "enrollment_event": Kept("the fold reads all that ever happened to a recipient"),
    "record_end": Kept("the fold reads all that ever happened to a recipient's records"),
    "outbox": Cleared(
        "calls of rules, which their firings keep from being made again; the words of enrolments"
        " stay, since exits, late changes and `explain` go by them",
        "settled_at",
        only="kind = 'call' AND settled_at IS NOT NULL",
    ),
    "rule_hour": Cleared(
        "only the hour under way is counted on", "hour", _COUNTED_DAYS * 24, clock=_AGO_HOUR
    ),
    "sequence_day": Cleared(
        "only the day under way is counted on", "day", _COUNTED_DAYS * 24, clock=_AGO_DATE
    ),
    # Records.
    "record": _BY_RECORD,
    "opt_out": _BY_RECORD,
    "reference": _BY_RECORD,
    "tombstone": Kept("who was forgotten stays so, whatever comes late, is replayed or restored"),
    "tombstone_key": Kept("one row"),
    "forgetting": ClearedElsewhere(
        "once its run is finished or cancelled", "the run needs the addresses, and nothing else"
    ),
    "traversal": Kept("one for each reference field that rules climb"),
    # Orgs, rules, and what people set up and did.
    "org": _CONFIGURATION,
    "rule": _RULING,
    "rule_span": _RULING,
    "conditions_span": _RULING,
    "rule_epoch": Kept("one row"),
    "sequence": _CONFIGURATION,
    "described_object": _CONFIGURATION,
    "suppression": _CONFIGURATION,
    "relay_stop": _CONFIGURATION,
    "console_token": Kept("names who did what, also once it is revoked"),
    "audit_schedule": _CONFIGURATION,
    "heartbeat": Kept("one row an org"),
    "action": Kept("who did what and when"),
    "bulk_run": Kept("actions, firings and dead letters name the run that they are of"),
    "schema_migration": Kept("one row a migration"),
    # Loads and audits.
    "audit": ClearedElsewhere(
        "once it is older than the history and not the org's newest",
        "the newest tells how many records to expect",
    ),
    "audit_object": _AUDIT,
    "audit_range": _AUDIT,
    "audit_finding": _AUDIT,
    "request": Cleared(
        "what was asked for came; each object's newest load tells how many records to expect",
        "settled_at",
        only="""state <> 'open' AND audit_id IS NULL AND (kind <> 'load' OR EXISTS (
                    SELECT FROM request AS newer
                    WHERE newer.kind = 'load' AND newer.org_id = request.org_id
                      AND newer.object = request.object
                      AND newer.request_id > request.request_id))""",
    ),
    # The flow. A process that tells again after so long has its row anew.
    "process": Cleared("the flow is shown for an hour", "told_at", KEPT_HOURS),
    "tally": Cleared("the flow is shown for an hour", "minute", KEPT_HOURS),
}
