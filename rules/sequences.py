"""Reads a document that begins with `sequence:`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rules.actions import read_sequence_name
from rules.model import QuietHours, Sequence, Target

if TYPE_CHECKING:
    from rules.reading import Reading
    from rules.source import Node

_KEYS: Final = (
    "sequence",
    "target",
    "target_id",
    "daily_cap",
    "quiet_hours",
    "send_to_opted_out",
    "enrich",
    "allow_missing_variables",
)
_QUIET_KEYS: Final = ("from", "until", "time_zone")
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)


def read_sequence(reading: Reading, node: Node, entries: dict[str, Node]) -> Sequence | None:
    """Read how one sequence is to be treated."""
    reading.check_keys(entries, known=_KEYS, required=("sequence",), line=node.line)
    name = read_sequence_name(reading, entries["sequence"], "sequence")
    target = (
        reading.read_choice(entries["target"], Target, "'target'")
        if "target" in entries
        else Target.WEBHOOK
    )
    target_id = (
        reading.read_text(entries["target_id"], "'target_id'") if "target_id" in entries else None
    )
    daily_cap = reading.read_count_or(entries, "daily_cap", default=0) or None
    quiet_hours = (
        _read_quiet_hours(reading, entries["quiet_hours"]) if "quiet_hours" in entries else None
    )
    send_to_opted_out = reading.read_flag_or(entries, "send_to_opted_out", default=False)
    enrich = reading.read_flag_or(entries, "enrich", default=False)
    allow = reading.read_flag_or(entries, "allow_missing_variables", default=False)
    if name is None or target is None:
        return None
    return Sequence(
        name, target, target_id, daily_cap, quiet_hours, send_to_opted_out, enrich, allow
    )


def _read_quiet_hours(reading: Reading, node: Node) -> QuietHours | None:
    entries = reading.read_mapping(node, "'quiet_hours'")
    if entries is None:
        return None
    reading.check_keys(entries, known=_QUIET_KEYS, required=_QUIET_KEYS[:2], line=node.line)
    times = [_read_time(reading, entries[key]) for key in _QUIET_KEYS[:2] if key in entries]
    zone = (
        reading.read_text(entries["time_zone"], "'time_zone'") if "time_zone" in entries else None
    )
    if zone is not None:
        reading.keep_line(zone, entries["time_zone"].line)
    if len(times) != len(_QUIET_KEYS[:2]) or times[0] is None or times[1] is None:
        return None
    if times[0] == times[1]:
        reading.refuse(node.line, "'from' and 'until' are the same time")
    return QuietHours(times[0], times[1], zone)


def _read_time(reading: Reading, node: Node) -> str | None:
    time = reading.read_text(node, "a time of day")
    if time is None or _TIME.fullmatch(time):
        return time
    reading.refuse(node.line, f"a time of day is written HH:MM, from 00:00 to 23:59; not '{time}'")
    return None
