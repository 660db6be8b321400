"""What the statements on firings, events, enrolments and the outbox's new rows do, in memory."""
# ruff: noqa: SLF001  a statement is its own name

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from workers.enrollments import ceilings, ends, events, firings, standings, tell

if TYPE_CHECKING:
    from tests.simulation.store import Handler, Row, Transaction

_FIRING: Final = [
    "org_id",
    "transaction_id",
    "record_id",
    "rule",
    "rule_version",
    "object",
    "captured_at",
    "sequence",
    "capture_id",
    "cause_record_id",
    "evidence",
    "run_id",
]
_EVENT: Final = [
    "firing_id",
    "action",
    "kind",
    "org_id",
    "sequence",
    "recipient",
    "captured_at",
    "capture_sequence",
    "capture_id",
    "rule",
    "record_id",
    "re_enroll",
    "ceiling",
    "variables",
]
_ENROLLMENT: Final = ("org_id", "sequence", "recipient")
_FOLDED: Final = [
    "enrollment_id",
    "generation",
    "exited_generation",
    "reason",
    "firing_id",
    "action",
    "captured_at",
    "sequence",
    "capture_id",
    "stands_as_before",
]
_WORD: Final = [
    "enrollment_id",
    "generation",
    "kind",
    "org_id",
    "sequence",
    "recipient",
    "rule",
    "idempotency_key",
]


def _rows(names: list[str], columns: tuple[list[Any], ...]) -> list[Row]:
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _place(row: Row) -> tuple[Any, ...]:
    return (
        row["captured_at"],
        row["sequence"],
        row["capture_id"],
        row["cause_record_id"] or "",
    )


def _key(row: Row) -> tuple[str, str, str]:
    return (row["org_id"], row["sequence"], row["recipient"])


async def _write_firings(own: Transaction, *columns: list[Any]) -> list[Row]:
    written = []
    for row in _rows(_FIRING, columns):
        key = tuple(row[name] for name in _FIRING[:4])
        await own.lock("firing", key)
        kept = own.get("firing", key)
        if kept is not None and _place(row) >= _place(kept):
            continue
        firing_id = next(own.store.ids) if kept is None else kept["firing_id"]
        own.put("firing", key, row | {"firing_id": firing_id})
        told = {name: row[name] for name in _FIRING[:4]}
        written.append({"firing_id": firing_id} | told | {"replaced": kept is not None})
    return written


async def _insert_events(own: Transaction, *columns: list[Any]) -> list[Row]:
    ended = {(row["org_id"], row["record_id"]) for _, row in own.scan("record_end")}
    of_ended = {}
    for row in _rows(_EVENT, columns):
        own.put("event", next(own.store.ids), row)
        if (row["org_id"], row["record_id"]) in ended:
            of_ended[_key(row)] = {name: row[name] for name in _ENROLLMENT}
    return list(of_ended.values())


async def _delete_events(own: Transaction, firing_ids: list[int]) -> list[Row]:
    deleted = []
    for key, row in own.scan("event"):
        if row["firing_id"] in firing_ids:
            own.put("event", key, None)
            deleted.append({name: row[name] for name in _ENROLLMENT})
    return deleted


async def _read_events(own: Transaction, *columns: list[Any]) -> list[Row]:
    names = [
        "captured_at",
        "capture_sequence",
        "capture_id",
        "rule",
        "action",
        "record_id",
        "kind",
        "firing_id",
        "re_enroll",
        "ceiling",
    ]
    kept = own.scan("event")
    found = []
    for number, key in enumerate(zip(*columns, strict=True), 1):
        for _, row in kept:
            if _key(row) == key:
                found.append({"place": number} | {name: row[name] for name in names})
    return found


async def _read_ends(own: Transaction, org_ids: list[str], record_ids: list[str]) -> list[Row]:
    names = ["org_id", "captured_at", "sequence", "capture_id", "record_id", "kind", "successor_id"]
    line = set(zip(org_ids, record_ids, strict=True))
    return [
        {name: row[name] for name in names}
        for _, row in own.scan("record_end")
        if (row["org_id"], row["record_id"]) in line
    ]


async def _find_enrolled(own: Transaction, org_ids: list[str], record_ids: list[str]) -> list[Row]:
    line = set(zip(org_ids, record_ids, strict=True))
    found = {
        _key(row): {name: row[name] for name in _ENROLLMENT}
        for _, row in own.scan("event")
        if (row["org_id"], row["record_id"]) in line
    }
    return list(found.values())


async def _lock(own: Transaction, *arguments: Any) -> list[Row]:
    *columns, nobody = arguments
    for key in zip(*columns, strict=True):
        await own.lock("enrollment", key)
        if own.get("enrollment", key) is None:
            row = dict(zip(_ENROLLMENT, key, strict=True))
            own.put(
                "enrollment",
                key,
                row
                | {
                    "enrollment_id": next(own.store.ids),
                    "firing_id": None,
                    "state": "exited",
                    "generation": 0,
                    "exited_generation": 0,
                    "reason": nobody,
                    "variables": "{}",
                    "folded_captured_at": None,
                    "folded_sequence": None,
                    "folded_capture_id": None,
                },
            )
    return []


async def _read_enrollments(own: Transaction, *columns: list[str]) -> list[Row]:
    found = (own.get("enrollment", key) for key in zip(*columns, strict=True))
    return [row for row in found if row is not None]


async def _write_enrollments(own: Transaction, *columns: list[Any]) -> list[Row]:
    by_id = {row["enrollment_id"]: (key, row) for key, row in own.scan("enrollment")}
    for folded in _rows(_FOLDED, columns):
        key, kept = by_id[folded["enrollment_id"]]
        add = own.get("outbox", (folded["enrollment_id"], folded["generation"], "add"))
        told = None if add is None or folded["stands_as_before"] else add["state"]
        state, reason = "pending", folded["reason"]
        if folded["generation"] <= folded["exited_generation"]:
            state = "exited"
        elif folded["stands_as_before"]:
            state = kept["state"]
        elif told == "delivered":
            state = "active"
        own.put(
            "enrollment",
            key,
            kept
            | {
                "state": state,
                "reason": reason,
                "generation": folded["generation"],
                "exited_generation": folded["exited_generation"],
                "firing_id": (folded["firing_id"] or kept["firing_id"])
                if folded["generation"]
                else None,
                "folded_captured_at": folded["captured_at"],
                "folded_sequence": folded["sequence"],
                "folded_capture_id": folded["capture_id"],
            },
        )
    return []


async def _insert_outbox(own: Transaction, *columns: list[Any]) -> list[Row]:
    written = []
    for row in _rows(_WORD, columns):
        key = (row["enrollment_id"], row["generation"], row["kind"])
        await own.lock("outbox", key)
        kept = own.get("outbox", key)
        if kept is None:
            new = row | {
                "outbox_id": next(own.store.ids),
                "target": "webhook",
                "state": "open",
                "attempts": 0,
                "unanswered": False,
                "due_at": time.time(),
                "created_at": time.time(),
                "settled_at": None,
            }
        elif _is_told_again(own, kept):
            again = f"{row['idempotency_key']}_{kept['outbox_id']}"
            new = kept | {
                "outbox_id": next(own.store.ids),
                "attempts": 0,
                "created_at": time.time(),
                "state": "open",
                "due_at": time.time(),
                "settled_at": None,
                "rule": row["rule"],
                "idempotency_key": again if _is_undone(own, kept) else kept["idempotency_key"],
            }
        else:
            continue
        own.put("outbox", key, new)
        told = {name: new[name] for name in ("outbox_id", "enrollment_id", "generation", "kind")}
        written.append(told | {"is_new": kept is None})
    return written


def _others(own: Transaction, kept: Row) -> list[Row]:
    """Return the words of the other kind that the target heard, or may have heard."""
    return [
        row
        for _, row in own.scan("outbox")
        if row["enrollment_id"] == kept["enrollment_id"]
        and row["kind"] != kept["kind"]
        and (row["state"] == "delivered" or row["unanswered"])
    ]


def _is_undone(own: Transaction, kept: Row) -> bool:
    if kept["state"] == "delivered":
        return True
    is_followed = any(row["outbox_id"] > kept["outbox_id"] for row in _others(own, kept))
    return bool(kept["unanswered"] and is_followed)


def _is_told_again(own: Transaction, kept: Row) -> bool:
    if kept["state"] == "superseded":
        return True
    if kept["state"] != "delivered":
        return False
    last = max(
        (row["settled_at"], row["outbox_id"])
        for _, row in own.scan("outbox")
        if row["enrollment_id"] == kept["enrollment_id"]
        and row["kind"] == kept["kind"]
        and row["state"] == "delivered"
    )
    return any(
        (float("inf") if row["settled_at"] is None else row["settled_at"], row["outbox_id"]) > last
        for row in _others(own, kept)
        if row["state"] == "delivered" or row["kind"] == "add"
    )


async def _nothing(_: Transaction, *__: object) -> list[Row]:
    return []


async def _count(own: Transaction, *columns: list[Any]) -> list[Row]:
    counted = []
    for org_id, rule, enrolled_count in zip(*columns, strict=True):
        key = (org_id, rule)
        await own.lock("rule_hour", key)
        kept = own.get("rule_hour", key) or {"enrolled_count": 0}
        row = {
            "org_id": org_id,
            "rule": rule,
            "enrolled_count": kept["enrolled_count"] + enrolled_count,
        }
        own.put("rule_hour", key, row)
        counted.append(row)
    return counted


HANDLERS: Final[dict[str, Handler]] = {
    firings._WRITE_FIRINGS: _write_firings,
    events._INSERT_EVENTS: _insert_events,
    events._DELETE_EVENTS: _delete_events,
    events.READ_EVENTS: _read_events,
    ends._READ_ENDS: _read_ends,
    ends._FIND_ENROLLED: _find_enrolled,
    standings._LOCK: _lock,
    standings._READ: _read_enrollments,
    standings._WRITE: _write_enrollments,
    tell._INSERT_OUTBOX: _insert_outbox,
    tell._DROP_HELD: _nothing,
    ceilings._COUNT: _count,
}
