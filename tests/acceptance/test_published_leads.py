"""Rules on Leads that others published: who is enrolled is worked out here a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.lives import Life, assert_history_holds, captures, connected, send
from tests.published import records
from tests.published_files import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.processes import PenstockProcesses

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published records are not beside this project (../shared/data)"
)

RULE: Final = """\
rule: qualified-leads-to-nurture
object: Lead
on: [insert, update]
when:
  - {field: Status, changed_to: qualified}
then:
  - add_to_sequence: nurture
    recipient: Email
"""


def states_of_leads() -> list[list[Mapping[str, Any]]]:
    """Each Lead as published, with the next one's status and address, with its own in capitals."""
    leads = [record.fields for record in records() if record.sobject == "Lead"]
    assert len(leads) == 93
    states: list[list[Mapping[str, Any]]] = []
    for place, lead in enumerate(leads):
        following = leads[(place + 1) % len(leads)]
        moved = {**lead, "Status": following.get("Status"), "Email": following["Email"]}
        shouting = {**lead, "Email": lead["Email"].upper()}
        states.append([lead, moved, shouting])
    return states


async def test_every_address_of_a_lead_that_became_qualified_is_enrolled_once(
    penstock: PenstockProcesses,
) -> None:
    states = states_of_leads()
    qualified = [
        after["Email"]
        for lead in states
        for before, after in zip([{}, *lead], lead, strict=False)
        if after.get("Status") == "Qualified" != before.get("Status")
    ]
    expected = {email.lower() for email in qualified}
    assert 20 < len(expected) < len(set(qualified)) < len(qualified)
    lives = [
        Life("Lead", lead[0]["Id"], tuple(msgspec.json.encode(state).decode() for state in lead))
        for lead in states
    ]
    org = await connected(penstock, RULE)
    sent = list(captures(lives))
    await send(org, sent)

    await assert_history_holds(penstock, sent)
    enrolled = (await penstock.run("enrollments", "list", "--json")).json()
    assert sorted(row["recipient"] for row in enrolled) == sorted(expected)
    assert {row["rule"] for row in enrolled} == {"qualified-leads-to-nurture"}
    assert len(await penstock.fetch("SELECT 1 FROM firing")) == len(qualified)
    assert len(await penstock.fetch("SELECT 1 FROM outbox")) == len(expected)
