"""What orgs save, drawn from a seed: documents of callouts, in the order in which they happen."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.objects import long_id

ORG_IDS: Final = tuple(long_id(f"00D5g00000Chao{letter}") for letter in "ABC")
# Salesforce's clocks: ten minutes ahead, right, and ten minutes behind.
CLOCK_OFF_MS: Final = 600_000
_SKEWS_MS: Final = dict(zip(ORG_IDS, (CLOCK_OFF_MS, 0, -CLOCK_OFF_MS), strict=True))
_PREFIXES: Final = {"Lead": "00Q", "Contact": "003", "Account": "001"}
_OBJECTS: Final = ("Lead", "Lead", "Lead", "Contact", "Contact", "Account")
_RECORDS_PER_OBJECT: Final = 40
_EMAIL_COUNT: Final = 60
_BULK_COUNT: Final = 60

_RULES: Final = """\
rule: qualified
object: Lead
on: [insert, update, undelete]
ceiling: 1000000
when: [{field: Status, equals: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email, re_enroll: after_exit}]
---
rule: cold
object: Lead
on: [update]
when: [{field: Status, changed_to: Cold}]
then: [{remove_from_sequence: nurture, recipient: Email}]
---
rule: hot
object: Lead
on: [insert, update]
ceiling: 1000000
when: [{field: Rating, equals: Hot}]
then: [{add_to_sequence: hot, recipient: Email, re_enroll: always}]
---
rule: welcome
object: Contact
on: [insert, update]
ceiling: 1000000
when: [{field: Level, changed_to: Primary}]
then: [{add_to_sequence: welcome, recipient: Email, variables: {level: Level}}]
---
rule: new-account
object: Account
on: [insert]
when: [{field: Status, equals: Qualified}]
then: [{webhook: "URL", fields: {status: Status}}]
"""


def rules(target_url: str) -> str:
    """Return every org's rules, which read nothing but the change."""
    return _RULES.replace("URL", f"{target_url}/rule")


class Callout(NamedTuple):
    """One callout as it is sent, and the changes in it: record id, old and new as JSON text."""

    org_id: str
    capture_id: str
    body: bytes
    changes: tuple[tuple[str, str | None, str | None], ...]


class Records:
    """The records of all orgs: inserted, updated again and again, deleted, undeleted, in bulk."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"records {seed}")
        self._states: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
            (org_id, sobject): {} for org_id in ORG_IDS for sobject in _PREFIXES
        }
        self._deleted: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
            key: {} for key in self._states
        }
        self._record_count = self._transaction_count = 0
        # Of every org, while a fault turns their clocks.
        self.clock_off_ms = 0

    def living(self, org_id: str) -> list[str]:
        """Return the ids of an org's leads, sorted."""
        return sorted(self._states[org_id, "Lead"])

    def next_callouts(self) -> list[Callout]:
        """Return the callouts of the next transaction: one, or two where a workflow writes."""
        rng = self._rng
        org_id, sobject = rng.choice(ORG_IDS), rng.choice(_OBJECTS)
        states, deleted = self._states[org_id, sobject], self._deleted[org_id, sobject]
        count = _BULK_COUNT if rng.random() < 0.04 else rng.choice((1, 1, 2, 5))
        roll = rng.random()
        if roll < 0.08 and deleted:
            return [self._callout(org_id, sobject, "undelete", [rng.choice(sorted(deleted))])]
        if roll < 0.16 and len(states) > _RECORDS_PER_OBJECT // 2:
            return [self._callout(org_id, sobject, "delete", rng.sample(sorted(states), 1))]
        if roll < 0.3 or len(states) < _RECORDS_PER_OBJECT:
            new = [self._new_id(sobject) for _ in range(count)]
            callout = self._callout(org_id, sobject, "insert", new)
            # A record is edited for a while and then left alone.
            while len(states) > 2 * _RECORDS_PER_OBJECT:
                states.pop(next(iter(states)))
            return [callout]
        record_ids = rng.sample(sorted(states), min(count, len(states)))
        callouts = [self._callout(org_id, sobject, "update", record_ids)]
        if rng.random() < 0.15:
            # Triggers fire again, in the same transaction.
            callouts.append(self._callout(org_id, sobject, "update", record_ids, sequence=1))
        return callouts

    def _new_id(self, sobject: str) -> str:
        self._record_count += 1
        return long_id(f"{_PREFIXES[sobject]}5g{self._record_count:010}")

    def _callout(
        self,
        org_id: str,
        sobject: str,
        operation: str,
        record_ids: list[str],
        sequence: int = 0,
    ) -> Callout:
        if not sequence:
            self._transaction_count += 1
        states, deleted = self._states[org_id, sobject], self._deleted[org_id, sobject]
        changes: list[tuple[str, str | None, str | None]] = []
        for record_id in record_ids:
            old = new = None
            if operation in {"update", "delete"}:
                old = states.pop(record_id)
            if operation == "delete":
                deleted[record_id] = old or {}
            elif operation == "undelete":
                new = deleted.pop(record_id)
            else:
                new = self._next(record_id, old)
            if new is not None:
                states[record_id] = new
            changes.append((record_id, _json(old), _json(new)))
        capture_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        document = {
            "version": 1,
            "org_id": org_id,
            "object": sobject,
            "operation": operation,
            "capture_id": capture_id,
            "transaction_id": f"transaction-{self._transaction_count}",
            "sequence": sequence,
            "captured_at": time.time_ns() // 1_000_000 + _SKEWS_MS[org_id] + self.clock_off_ms,
            "actor_id": "0055g00000OtherAAA",
            "changes": [
                {
                    side: msgspec.Raw(text.encode())
                    for side, text in (("old", old_text), ("new", new_text))
                    if text is not None
                }
                for _, old_text, new_text in changes
            ],
        }
        return Callout(org_id, capture_id, msgspec.json.encode(document), tuple(changes))

    def _next(self, record_id: str, old: dict[str, Any] | None) -> dict[str, Any]:
        rng = self._rng
        state = dict(old or {"Id": record_id, "Email": self._email()})
        state["Status"] = rng.choice(("Qualified", "Cold", "Open"))
        state["Rating"] = rng.choice(("Hot", "Warm", "Warm"))
        state["Level"] = rng.choice(("Primary", "Secondary"))
        if rng.random() < 0.1:
            state["Email"] = self._email()
        return state

    def _email(self) -> str:
        # Some are enrolled through many records, others through one.
        rng = self._rng
        number = rng.randrange(_EMAIL_COUNT) if rng.random() < 0.5 else rng.randrange(10**9)
        return f"person{number}@example.com"


def _json(state: dict[str, Any] | None) -> str | None:
    return None if state is None else msgspec.json.encode(state).decode()
