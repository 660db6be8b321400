"""What happened, as a person would want to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from ops.local.rehearsal import Told
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.explanation import Explanation
    from ops.local.rehearsal import Played
    from ops.sample.capture import Record, RecordChange

_PEOPLE: Final = (SObject.LEAD, SObject.CONTACT)
# Fields that say nothing to a reader: they change with every save.
_STAMPS: Final = frozenset({"LastModifiedDate", "LastModifiedById", "SystemModstamp", "attributes"})
_SHOWN: Final = ("Status", "Rating", "AnnualRevenue", "Email")
_MAX_CHANGED: Final = 4


class Report:
    """Prints to a terminal in colour, to a file without."""

    def __init__(self) -> None:
        self.console = Console(soft_wrap=True, highlight=False)

    def say(self, line: str) -> None:
        """Print one line as it is."""
        self.console.print(Text(line))

    def story(self, played: Iterable[Played]) -> None:
        """Print each lead and contact: what changed, which rule fired, which sequence, how fast."""
        enrolled_count = 0
        other_count = 0
        for one in played:
            if one.capture.object not in _PEOPLE:
                other_count += len(one.capture.changes)
                continue
            for change in one.capture.changes:
                told = one.enrolled.get(_record_id(change), [])
                enrolled_count += len(told)
                self._change(one.capture.object, one.capture.operation, change, told)
        self.say(
            f"\n{enrolled_count} enrolments; {other_count} changes of other objects are in the"
            " history too."
        )

    def enrolled(self, explanation: Explanation) -> None:
        """Print one enrolment as it happens."""
        self.console.print(_enrolled(Told(explanation, is_new=True)))

    def _change(
        self, sobject: str, operation: str, change: RecordChange, told: Sequence[Told]
    ) -> None:
        record = change.new or change.old or {}
        line = Text.assemble(
            (f"{sobject} {operation:<7}", "dim"), (str(record.get("Name", "?")), "bold"), "  "
        )
        line.append(_differences(change))
        self.console.print(line)
        for one in told:
            self.console.print(_enrolled(one))


def _enrolled(told: Told) -> Text:
    explanation = told.explanation
    text = Text.assemble(
        ("    → ", "green"),
        (explanation.recipient, "cyan"),
        " is in sequence ",
        (explanation.sequence, "bold green"),
    )
    if told.is_new:
        times = {stage.stage: stage.since_received_ms for stage in explanation.stages}
        committed_ms = times.get("committed") or times.get("enrolled") or 0.0
        text.append(f" {committed_ms:.0f} ms after the callout arrived")
        if delivered_ms := times.get("settled by the relay"):
            text.append(f" (target told after {delivered_ms:.0f} ms)", "dim")
    else:
        text.append(" already")
    text.append(f"\n      rule {explanation.rule} v{explanation.rule_version}: ", "dim")
    text.append("; ".join(condition.reads for condition in explanation.conditions) or "always")
    return text


def _differences(change: RecordChange) -> str:
    old, new = change.old or {}, change.new
    if new is None:
        return "is gone"
    if change.old is None:
        return ", ".join(f"{field} {_value(new, field)}" for field in _SHOWN if field in new) or (
            "without an email"
        )
    changed = [
        f"{field}: {_value(old, field)} → {_value(new, field)}"
        for field in sorted(old.keys() | new.keys())
        if field not in _STAMPS and old.get(field) != new.get(field)
    ]
    more = f" and {len(changed) - _MAX_CHANGED} more" if len(changed) > _MAX_CHANGED else ""
    return ", ".join(changed[:_MAX_CHANGED]) + more


def _value(record: Record, field: str) -> str:
    value = record.get(field)
    return "empty" if value is None else str(value)


def _record_id(change: RecordChange) -> str:
    return str((change.new or change.old or {})["Id"])
