"""What the relay's statements do, in memory: leases, the second look, settling under a fence."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from workers.relay import sql

if TYPE_CHECKING:
    from tests.simulation.store import Handler, Row, Transaction

_CAUSE: Final = ["rule", "rule_version", "object", "record_id", "capture_id", "captured_at"]
_DONE: Final = ["outbox_id", "attempt", "state", "error", "pause_s", "untried", "unanswered"]
_NO_TREATMENT: Final = {
    "target_id": None,
    "daily_cap": None,
    "quiet_from": None,
    "quiet_until": None,
    "quiet_time_zone": "UTC",
    "time_zone": "UTC",
    "enrich": False,
    "allow_missing_variables": False,
    "listed_value": None,
    "listed_reason": None,
    "refuses": None,
}


def _open(own: Transaction, target: str) -> list[tuple[Any, Row]]:
    rows = [
        one
        for one in own.scan("outbox")
        if one[1]["state"] == "open" and one[1]["target"] == target
    ]
    return sorted(rows, key=lambda one: int(one[1]["outbox_id"]))


async def _due_targets(own: Transaction) -> list[Row]:
    now_s = time.time()
    due = any(one["due_at"] <= now_s for _, one in _open(own, "webhook"))
    return [{"target": "webhook"}] if due else []


async def _claim(own: Transaction, target: str, limit: int, lease_s: float) -> list[Row]:
    now_s, told = time.time(), []
    rows = _open(own, target)
    first: dict[str, int] = {}
    for _, row in rows:
        first.setdefault(row["recipient"], row["outbox_id"])
    claimed_count = 0
    for key, row in rows:
        # Locked by another: skipped, as it was seen before it was locked.
        if row["due_at"] > now_s or not own.is_free("outbox", key):
            continue
        if first[row["recipient"]] != row["outbox_id"]:
            await own.lock("outbox", key)
            own.put("outbox", key, row | {"due_at": now_s + 1.0})
            told.append(_claimed(row, is_put_back=True))
        elif claimed_count < limit:
            claimed_count += 1
            await own.lock("outbox", key)
            new = row | {
                "attempts": row["attempts"] + 1,
                "due_at": now_s + lease_s,
                "unanswered": True,
            }
            own.put("outbox", key, new)
            told.append(_claimed(row | {"attempts": new["attempts"]}, is_put_back=False))
    return told


def _claimed(row: Row, *, is_put_back: bool) -> Row:
    return {
        "outbox_id": row["outbox_id"],
        "recipient": row["recipient"],
        "attempts": row["attempts"],
        "was_unanswered": row["unanswered"],
        "is_put_back": is_put_back,
    }


async def _look(own: Transaction, ids: list[int], *_: object) -> list[Row]:
    enrollments = {row["enrollment_id"]: row for _, row in own.scan("enrollment")}
    firings = {row["firing_id"]: row for _, row in own.scan("firing")}
    seen = []
    for _, row in own.scan("outbox"):
        if row["outbox_id"] not in ids:
            continue
        stands = enrollments[row["enrollment_id"]]
        firing = firings.get(stands["firing_id"], {})
        seen.append(
            row
            | _NO_TREATMENT
            | {name: firing.get(name) for name in _CAUSE}
            | {
                "payload": None,
                "created_at_s": row["created_at"],
                "state": stands["state"],
                "stands_at": stands["generation"],
                "exited_generation": stands["exited_generation"],
                "variables": stands["variables"],
                "reason": stands["reason"],
                "was_added": row["kind"] == "exit" and _was_added(own, row),
                "is_followed": row["kind"] == "exit" and _is_followed(own, row),
            }
        )
    return seen


def _was_added(own: Transaction, row: Row) -> bool:
    """Tell whether the target has whom the row takes out: added, and since then not taken out."""
    rows = [each for _, each in own.scan("outbox") if each["enrollment_id"] == row["enrollment_id"]]
    added = [
        (each["generation"], each["outbox_id"])
        for each in rows
        if each["kind"] == "add"
        and each["generation"] <= row["generation"]
        and (each["state"] == "delivered" or each["unanswered"])
    ]
    ended = [
        (each["generation"], each["outbox_id"])
        for each in rows
        if each["kind"] == "exit"
        and each["generation"] < row["generation"]
        and each["state"] == "delivered"
    ]
    return any(
        not any(over >= generation and later > told for over, later in ended)
        for generation, told in added
    )


def _is_followed(own: Transaction, row: Row) -> bool:
    return any(
        each["enrollment_id"] == row["enrollment_id"]
        and each["kind"] == "add"
        and each["generation"] > row["generation"]
        and each["state"] == "delivered"
        for _, each in own.scan("outbox")
    )


async def _lock_enrollments(own: Transaction, ids: list[int]) -> list[Row]:
    found = []
    for key in sorted(key for key, row in own.scan("enrollment") if row["enrollment_id"] in ids):
        await own.lock("enrollment", key)
        row = own.get("enrollment", key)
        assert row is not None
        names = ("enrollment_id", "state", "generation", "exited_generation")
        found.append({name: row[name] for name in names})
    return found


async def _settle(own: Transaction, *columns: list[Any]) -> list[Row]:
    keys = {row["outbox_id"]: key for key, row in own.scan("outbox")}
    settled = []
    for values in zip(*columns, strict=True):
        done = dict(zip(_DONE, values, strict=True))
        key = keys.get(done["outbox_id"])
        # It was told again since, under another id.
        if key is None:
            continue
        await own.lock("outbox", key)
        row = own.get("outbox", key)
        if row is None or row["outbox_id"] != done["outbox_id"]:
            continue
        # The fence is the statement's own: without it, it settles whatever is open.
        is_fenced = "outbox.attempts = done.attempt" in sql.SETTLE
        if row["state"] != "open" or (is_fenced and row["attempts"] != done["attempt"]):
            continue
        if row["attempts"] != done["attempt"]:
            own.store.watch.breaks(f"row {row['outbox_id']} was settled by who had it no more")
        is_open = done["state"] == "open"
        own.put(
            "outbox",
            key,
            row
            | {
                "state": done["state"],
                "attempts": row["attempts"] - int(done["untried"]),
                "unanswered": done["unanswered"],
                "due_at": time.time() + done["pause_s"] if is_open else row["due_at"],
                "settled_at": None if is_open else time.time(),
            },
        )
        settled.append({"outbox_id": done["outbox_id"]})
    return settled


async def _settle_enrollments(own: Transaction, *columns: list[Any]) -> list[Row]:
    keys = {row["enrollment_id"]: key for key, row in own.scan("enrollment")}
    for enrollment_id, generation, state, reason in zip(*columns, strict=True):
        key = keys[enrollment_id]
        await own.lock("enrollment", key)
        row = own.get("enrollment", key)
        assert row is not None
        if row["generation"] == generation and row["state"] == "pending":
            own.put("enrollment", key, row | {"state": state, "reason": reason})
    return []


def _as_new(own: Transaction, row: Row) -> Row:
    """Return a row that is told again, behind all others and under another key."""
    return row | {
        "outbox_id": next(own.store.ids),
        "attempts": 0,
        "created_at": time.time(),
        "state": "open",
        "due_at": time.time(),
        "settled_at": None,
        "idempotency_key": f"{row['idempotency_key']}_{row['outbox_id']}",
    }


async def _tell_again(own: Transaction, *columns: list[Any]) -> list[Row]:
    keys = {row["enrollment_id"]: key for key, row in own.scan("enrollment")}
    for enrollment_id, generation, is_in_doubt in zip(*columns, strict=True):
        place = (enrollment_id, generation, "add")
        await own.lock("outbox", place)
        row = own.get("outbox", place)
        if row is None or row["state"] != "delivered":
            continue
        own.put("outbox", place, _as_new(own, row) | {"unanswered": is_in_doubt})
        await own.lock("enrollment", keys[enrollment_id])
        stands = own.get("enrollment", keys[enrollment_id])
        if stands is not None and stands["state"] == "active":
            own.put("enrollment", keys[enrollment_id], stands | {"state": "pending"})
    return []


async def _exit_again(own: Transaction, *columns: list[Any]) -> list[Row]:
    for enrollment_id, generation in zip(*columns, strict=True):
        place = (enrollment_id, generation, "exit")
        await own.lock("outbox", place)
        row = own.get("outbox", place)
        exits = [
            other["state"]
            for _, other in own.scan("outbox")
            if (other["enrollment_id"], other["kind"]) == (enrollment_id, "exit")
        ]
        if row is None or row["state"] != "delivered" or {"open", "held"} & set(exits):
            continue
        own.put("outbox", place, _as_new(own, row))
    return []


async def _wake(own: Transaction, targets: list[str], recipients: list[str]) -> list[Row]:
    done = set(zip(targets, recipients, strict=True))
    for key, row in own.scan("outbox"):
        waits = row["state"] == "open" and row["attempts"] == 0
        if not waits or (row["target"], row["recipient"]) not in done:
            continue
        await own.lock("outbox", key)
        now = own.get("outbox", key)
        if now is not None and now["state"] == "open" and now["attempts"] == 0:
            own.put("outbox", key, now | {"due_at": time.time()})
    return []


HANDLERS: Final[dict[str, Handler]] = {
    sql.DUE_TARGETS: _due_targets,
    sql.CLAIM: _claim,
    sql.LOOK: _look,
    sql.LOCK_ENROLLMENTS: _lock_enrollments,
    sql.SETTLE: _settle,
    sql.SETTLE_ENROLLMENTS: _settle_enrollments,
    sql.TELL_AGAIN: _tell_again,
    sql.EXIT_AGAIN: _exit_again,
    sql.WAKE: _wake,
}
