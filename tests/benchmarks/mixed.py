"""A real org's day: seven objects, thirty rules; most callouts bring one change, few hundreds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.capture import Capture
    from ops.sample.records import SampleOrg
    from ops.sample.timeline import Run, Timeline
    from pipeline.change import Value

# Of a hundred callouts so many bring one change, up to `_SMALL`, or `_BULK`.
_SINGLE_PERCENT: Final = 80
_SMALL_PERCENT: Final = 15
_SMALL: Final = (2, 20)
_BULK: Final = 200
_RECORDS: Final = 400
_STREAM: Final = 5
# How the day's work spreads over the objects.
_SHARES: Final = {
    SObject.LEAD: 30,
    SObject.CONTACT: 20,
    SObject.TASK: 20,
    SObject.OPPORTUNITY: 12,
    SObject.EVENT: 8,
    SObject.ACCOUNT: 8,
    SObject.USER: 2,
}
# A field of each object that people edit, and what they choose from.
_EDITED: Final[dict[SObject, tuple[str, tuple[Value, ...]]]] = {
    SObject.LEAD: ("Status", ("Open", "Working", "Nurturing", "Qualified")),
    SObject.CONTACT: ("Title", ("CEO", "CTO", "Buyer", "Engineer")),
    SObject.TASK: ("Status", ("Not Started", "In Progress", "Completed", "Deferred")),
    SObject.OPPORTUNITY: ("StageName", ("Prospecting", "Proposal", "Closed Won", "Closed Lost")),
    SObject.EVENT: ("Location", ("Berlin", "Paris", "Video call", "Phone")),
    SObject.ACCOUNT: ("Rating", ("Hot", "Warm", "Cold", None)),
    SObject.USER: ("Title", ("Rep", "Manager", "Director", "VP")),
}
_RULES_AN_OBJECT: Final = 5
_WITHOUT_ADDRESS: Final = "webhook: https://hooks.example/penstock"
_RULE_COUNT: Final = 30
# Of which the first is every user's, and the second nobody's.
_OWNERS: Final = ("005", "00G")


def rules() -> str:
    """Return thirty rules over the seven objects, as one text of YAML documents."""
    documents: list[str] = []
    for number in range(_RULES_AN_OBJECT):
        for sobject, (field, values) in _EDITED.items():
            value = values[number % (len(values) - 1)]
            has_address = sobject in {SObject.LEAD, SObject.CONTACT, SObject.USER}
            then = (
                f"add_to_sequence: {sobject.lower()}-{number}, recipient: Email"
                if has_address
                else _WITHOUT_ADDRESS
            )
            documents.append(
                f"rule: {sobject.lower()}-{number}\nobject: {sobject}\n"
                "on: [insert, update]\nwhen:\n"
                f"  - {{field: {field}, changed_to: {value}}}\n"
                f"  - {{field: OwnerId, starts_with: '{_OWNERS[number % 2]}'}}\n"
                f"then: [{{{then}}}]\n"
            )
    return "---\n".join(documents[:_RULE_COUNT])


def captures(org: SampleOrg, run: Run, change_count: int) -> Iterator[Capture]:
    """Yield captures until they bring at least `change_count` changes."""
    stream = random.Random(_STREAM)
    timeline = org.timeline("a day", run)
    ids = _load(org, timeline)
    objects, shares = list(_SHARES), list(_SHARES.values())
    while change_count > 0:
        (sobject,) = stream.choices(objects, shares)
        capture = _edit(org, timeline, stream, sobject, ids[sobject])
        change_count -= len(capture.changes)
        yield capture


def _edit(
    org: SampleOrg, timeline: Timeline, stream: random.Random, sobject: SObject, ids: list[str]
) -> Capture:
    percent = stream.randrange(100)
    if percent < _SINGLE_PERCENT:
        size = 1
    elif percent < _SINGLE_PERCENT + _SMALL_PERCENT:
        size = stream.randint(*_SMALL)
    else:
        size = _BULK
    field, values = _EDITED[sobject]
    edits = {}
    for record_id in stream.sample(ids, min(size, len(ids))):
        now = timeline.records[record_id].get(field)
        edits[record_id] = {field: stream.choice([value for value in values if value != now])}
    return timeline.transaction(str(stream.choice(org.reps)["Id"])).update(edits)


def _load(org: SampleOrg, timeline: Timeline) -> dict[SObject, list[str]]:
    factory = org.factory("a day")
    owner_id = str(org.reps[0]["Id"])
    ids: dict[SObject, list[str]] = {sobject: [] for sobject in _SHARES}
    ids[SObject.USER] = [str(user["Id"]) for user in org.staff]
    for _ in range(_RECORDS):
        company = factory.casting.company()
        account = factory.account(owner_id, company)
        account_id = str(account["Id"])
        contact = factory.contact(owner_id, account_id, company.domain)
        contact_id = str(contact["Id"])
        records = {
            SObject.LEAD: factory.lead(owner_id, full_width=True),
            SObject.CONTACT: contact,
            SObject.TASK: factory.task(owner_id, contact_id, "Call", 0),
            SObject.OPPORTUNITY: factory.opportunity(owner_id, account_id, company.name, 0),
            SObject.EVENT: factory.event(owner_id, contact_id, account_id, 0),
            SObject.ACCOUNT: account,
        }
        timeline.load(records.values())
        for sobject, record in records.items():
            ids[sobject].append(str(record["Id"]))
    return ids
