"""A small, nasty input: few records and recipients, and everything that happens to them at once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pipeline import envelope
from pipeline.objects import long_id
from tests.simulation.loop import EPOCH_S
from workers.received import ReceivedChange, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.store import Store

ORG_ID: Final = "00D5g000004XyzAEAS"
_RECORD_IDS: Final = [long_id(f"00Q5g{number:010}") for number in range(4)]
_EMAILS: Final = ("ana@example.com", "bob@example.com", "cleo@example.com", "dan@example.com")
_RULES: Final = (
    """\
rule: qualified
object: Lead
on: [insert, update]
when: [{field: Status, changed_to: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email, re_enroll: after_exit}]
""",
    """\
rule: cold
object: Lead
on: [update]
when: [{field: Status, changed_to: Cold}]
then: [{remove_from_sequence: nurture, recipient: Email}]
""",
    """\
rule: hot
object: Lead
on: [insert, update]
when: [{field: Rating, equals: Hot}]
then: [{add_to_sequence: hot, recipient: Email, re_enroll: always}]
""",
)


class Publication(NamedTuple):
    """A message, and when it is published."""

    at_s: float
    body: bytes
    routing_key: str


class Workload(NamedTuple):
    """What is published, and what must become of it."""

    publications: list[Publication]
    changes: list[ReceivedChange]
    refused: set[tuple[str, str, str]]
    poison: list[bytes]


def set_up(store: Store) -> None:
    """Give the store an org with rules, as migrations and commands would."""
    names = ("sync_user_id", "time_zone")
    store.rows("org")[ORG_ID] = {"org_id": ORG_ID} | dict(
        zip(names, ("0055g00000AbCdEAAV", "UTC"), strict=True)
    )
    for source in _RULES:
        rule = source.split(maxsplit=2)[1]
        row = {"org_id": ORG_ID, "rule": rule, "version": 1, "source": source}
        store.rows("rule")[ORG_ID, rule] = row


def draw(seed: int) -> Workload:
    """Draw an input: updates, deletions, several captures of a transaction, duplicates, poison."""
    rng = random.Random(f"workload {seed}")
    # With two everything meets, with four there is who is enrolled by one change alone.
    emails = _EMAILS[: rng.choice((2, 4))]
    states: dict[str, dict[str, Any] | None] = dict.fromkeys(_RECORD_IDS)
    refused: set[tuple[str, str, str]] = set()
    publications: list[Publication] = []
    transaction, sequence = "", 0
    for number in range(rng.randint(8, 20)):
        capture_id = f"{number:08}-0000-4000-8000-{rng.randrange(10**12):012}"
        if number and rng.random() < 0.3:
            sequence += 1
        else:
            transaction, sequence = f"transaction-{number}", 0
        operation = "update"
        record_ids = rng.sample(_RECORD_IDS, rng.choice((1, 1, 2, 3)))
        absent = [one for one in record_ids if states[one] is None]
        if absent:
            operation, record_ids = "insert", absent
        elif rng.random() < 0.15:
            operation = "delete"
        changes = []
        for record_id in record_ids:
            old = states[record_id]
            new = (
                None
                if operation == "delete"
                else _next(rng, {"Id": record_id} if old is None else old, emails, sequence)
            )
            states[record_id] = new
            if new is not None and rng.random() < 0.06:
                refused.add((ORG_ID, capture_id, record_id))
                new = new | {"Refused": True}
            changes.append({"old": old, "new": new})
        callout = {
            "version": 1,
            "org_id": ORG_ID,
            "object": "Lead",
            "operation": operation,
            "capture_id": capture_id,
            "transaction_id": transaction,
            "sequence": sequence,
            "captured_at": EPOCH_S * 1000 - 60_000 + number // 2,
            "actor_id": "0055g00000OtherAAA",
            "changes": changes,
        }
        item = envelope.Item(f"msg_{number}", EPOCH_S * 1000, False, msgspec.json.encode(callout))
        body = envelope.encode([item])
        assert decode(body).poison is None
        for _ in range(1 + (rng.random() < 0.25)):
            at_s = max(0.0, number * 0.4 + rng.choice((0.0, 0.0, 4.0)) * rng.random())
            publications.append(Publication(at_s, body, f"lead.{operation}"))
    poison = [rng.randbytes(8) for _ in range(rng.random() < 0.3)]
    publications += [Publication(rng.random() * 5, body, "lead.update") for body in poison]
    publications.sort(key=lambda one: one.at_s)
    received = [change for one in publications for change in decode(one.body).changes]
    return Workload(publications, received, refused, poison)


def _next(
    rng: random.Random, old: dict[str, Any], emails: Sequence[str], sequence: int
) -> dict[str, Any]:
    state = {"Email": rng.choice(emails)} | old
    state["Status"] = rng.choice(("Qualified", "Cold", "Open"))
    state["Rating"] = rng.choice(("Hot", "Warm"))
    # Of one transaction only the first counts: another address then is what a late one takes back.
    if rng.random() < (0.4 if sequence else 0.1):
        state["Email"] = rng.choice(emails)
    return state
