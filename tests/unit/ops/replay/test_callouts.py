"""Which callouts of a message of the log are meant."""

from __future__ import annotations

import gzip

import msgspec

from ops.replay.callouts import CalloutReplay, meant
from ops.replay.stream import Logged
from pipeline import envelope
from pipeline.objects import SObject
from tests.changes import OTHER_ORG_ID, inserted, lead
from tests.salesforce import ORG_ID, now_ms


def item(name: str, org_id: str = ORG_ID) -> envelope.Item:
    body = msgspec.json.encode(inserted(lead(), org_id=org_id))
    return envelope.Item(name, now_ms(), masked=False, body=body)


def compressed(name: str, org_id: str = ORG_ID) -> envelope.Item:
    text = item(name, org_id).body
    return envelope.Item(
        name, now_ms(), masked=False, body=gzip.compress(text), inflated_bytes=len(text)
    )


def logged(*items: envelope.Item, routing_key: str = "lead.update") -> Logged:
    return Logged(0, routing_key, envelope.encode(list(items)), None)


def test_of_a_message_only_the_callouts_that_are_meant_are_sent_again() -> None:
    ours, other = item("a"), item("b", org_id=OTHER_ORG_ID)
    of_org = CalloutReplay(0, org_id=ORG_ID)
    assert meant(logged(ours, other), of_org) == envelope.encode([ours])
    assert meant(logged(other), of_org) is None
    assert meant(logged(ours, other), CalloutReplay(0, objects=[SObject.TASK])) is None
    assert meant(logged(ours, other), CalloutReplay(0, until_ms=1)) is None
    audit = envelope.Item("c", now_ms(), masked=False, body=b"{}", kind=envelope.Kind.AUDIT)
    assert meant(logged(audit, ours), CalloutReplay(0)) == envelope.encode([ours])
    poison = Logged(0, "lead.update", b"\xc1", None)
    assert meant(poison, CalloutReplay(0)) == b"\xc1"
    assert meant(poison, of_org) is None


def test_a_compressed_callout_is_found_by_its_org_too() -> None:
    ours, other = compressed("a"), compressed("b", org_id=OTHER_ORG_ID)
    of_org = CalloutReplay(0, org_id=ORG_ID)
    assert meant(logged(ours, other), of_org) == envelope.encode([ours])
    broken = envelope.Item("c", now_ms(), masked=False, body=b"no gzip", inflated_bytes=7)
    assert meant(logged(broken), of_org) is None
