"""What new conditions ask for that the org was not asked for before."""

from __future__ import annotations

import pytest

from ops.needed_loads import newly_needed
from pipeline.objects import SObject

ACCOUNT, LEAD, TASK = SObject.ACCOUNT, SObject.LEAD, SObject.TASK
LEAD_STATUS = {LEAD: ["Status"]}


@pytest.mark.parametrize(
    ("before", "after", "loads"),
    [
        # The first conditions need all that they name, parents first.
        ({}, {TASK: ["WhatId"], ACCOUNT: []}, [("Account", "synced", []), ("Task", "synced", [])]),
        (LEAD_STATUS, {**LEAD_STATUS, ACCOUNT: ["Name"]}, [("Account", "synced", [])]),
        (LEAD_STATUS, {LEAD: ["Rating", "Status"]}, [("Lead", "watched", ["Rating"])]),
        (LEAD_STATUS, {LEAD: []}, [("Lead", "watched", ["*"])]),
        # Nothing more is asked for.
        (LEAD_STATUS, {LEAD: ["status"]}, []),
        ({LEAD: []}, LEAD_STATUS, []),
        ({LEAD: ["Rating", "Status"], ACCOUNT: ["Name"]}, LEAD_STATUS, []),
        # While no rule reads anything, nothing is needed, though everything is sent.
        (LEAD_STATUS, {}, []),
        ({}, {}, []),
    ],
)
def test_what_is_newly_asked_for_is_needed(
    before: dict[SObject, list[str]],
    after: dict[SObject, list[str]],
    loads: list[tuple[str, str, list[str]]],
) -> None:
    needed = newly_needed(before, after)
    assert [(one.object, one.cause, one.fields) for one in needed] == loads
