"""Changes as a worker takes them from the broker, and orgs with rules to judge them by."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from ops import orgs, rule_store
from pipeline import envelope, json_text
from pipeline.objects import long_id
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID, callout, now_ms
from workers.received import ReceivedChange, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.database import Pool

OTHER_ORG_ID: Final = long_id("00D5g000004Othr")

# Everyone whose lead is Qualified is nurtured.
QUALIFIED_RULE: Final = """\
rule: qualified-to-nurture
object: Lead
on: [insert, update, undelete]
when: [{field: Status, equals: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email, variables: {rating: Rating}}]
"""


def lead(**fields: Any) -> dict[str, Any]:
    """Return a qualified lead, but for `fields`."""
    return {"Id": LEAD_ID, "Status": "Qualified", "Email": "ana@example.com", **fields}


def inserted(*records: Mapping[str, Any] | Raw, **keys: Any) -> dict[str, Any]:
    """Return a callout that inserts records, with the contract's `keys`."""
    return callout([{"new": record} for record in records], operation="insert", **keys)


def updated(
    old: Mapping[str, Any] | Raw,
    new: Mapping[str, Any] | Raw,
    **keys: Any,
) -> dict[str, Any]:
    """Return a callout of one record's update, with the contract's `keys`."""
    return callout([{"old": old, "new": new}], **keys)


def message(*callouts: object) -> bytes:
    """Return the broker message that ingest makes of callouts; `bytes` are a body as it is."""
    items = []
    for number, one in enumerate(callouts):
        body = one if isinstance(one, bytes) else msgspec.json.encode(one)
        masked = json_text.mask(body)
        items.append(envelope.Item(f"msg_{number}", now_ms(), masked != body, masked))
    return envelope.encode(items)


def received(*callouts: object) -> list[ReceivedChange]:
    """Return the changes of callouts as they come out of the broker."""
    changes, _, poison = decode(message(*callouts))
    assert poison is None
    return changes


def record_ids(prefix: str = "00Q", first: int = 0) -> Iterator[str]:
    """Yield record ids, all of them different."""
    return (long_id(f"{prefix}5g{number:010}") for number in itertools.count(first))


async def add_org(pool: Pool, org_id: str = ORG_ID, *rules: str) -> None:
    """Register an org, with rules."""
    async with pool.acquire() as connection:
        await orgs.add(connection, org_id, SYNC_USER_ID)
    if rules:
        await apply_rules(pool, org_id, *rules)


async def apply_rules(pool: Pool, org_id: str, *rules: str) -> None:
    """Apply rules to an org; those of the same name change."""
    async with pool.acquire() as connection:
        await rule_store.apply(connection, org_id, [("rules.yaml", "---\n".join(rules))])
