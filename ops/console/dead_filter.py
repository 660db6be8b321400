"""The fields of forms that say which dead letters are meant."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ops.console import asked
from ops.dead_letters import DeadFilter, DeadState
from ops.errors import WrongUsage
from pipeline.errors import Reason
from pipeline.objects import SObject, is_salesforce_id, long_id
from workers.received import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY: Final = "any"
# The end of the year 9999, the last that a date has: Unix ms.
_LATEST: Final = 253_402_300_799_999


class Age(StrEnum):
    """How long ago something failed, as a choice."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


_AGES_MS: Final = {Age.HOUR: 3_600_000, Age.DAY: 86_400_000, Age.WEEK: 604_800_000}


def chosen(fields: Mapping[str, object]) -> DeadFilter:
    """Return the filter that a form's fields name.

    Raises:
        WrongUsage: a field's value is none that it can have.
    """
    state = asked.text(fields, "state")
    record = asked.text(fields, "record")
    dead_letter_id = asked.number(fields, "id")
    if record is not None and not is_salesforce_id(record):
        raise WrongUsage(f"record: {record!r} is not the id of a record (15 or 18 characters)")
    org_id = asked.text(fields, "org")
    return DeadFilter(
        state=None if state == _ANY else asked.choice(fields, "state", DeadState) or DeadState.OPEN,
        ids=None if dead_letter_id is None else (dead_letter_id,),
        org_id=None if org_id is None else long_id(org_id),
        object=asked.choice(fields, "object", SObject),
        reason=asked.choice(fields, "reason", Reason),
        text=asked.text(fields, "text"),
        record_id=None if record is None else long_id(record),
        older_than=_moment(fields, "older"),
        newer_than=_moment(fields, "newer"),
        run_id=asked.number(fields, "run"),
    )


def fields_of(wanted: DeadFilter) -> dict[str, object]:
    """Return the fields that name a filter as it is now: ages have become moments."""
    found = {
        "state": _ANY if wanted.state is None else wanted.state.value,
        "id": None if wanted.ids is None else wanted.ids[0],
        "org": wanted.org_id,
        "object": wanted.object,
        "reason": wanted.reason,
        "text": wanted.text,
        "record": wanted.record_id,
        "older": wanted.older_than,
        "newer": wanted.newer_than,
        "run": wanted.run_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _moment(fields: Mapping[str, object], name: str) -> int | None:
    """Return when an age ago was, or the moment itself (Unix ms).

    Raises:
        WrongUsage: it is no moment.
    """
    given = asked.text(fields, name)
    if given is not None and given in set(Age):
        return now_ms() - _AGES_MS[Age(given)]
    moment = asked.number(fields, name)
    if moment is not None and moment > _LATEST:
        raise WrongUsage(f"{name}: {moment} is no time in Unix ms")
    return moment
