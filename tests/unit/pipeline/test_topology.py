from __future__ import annotations

import pytest

from pipeline.objects import Operation, SObject
from pipeline.topology import (
    LOG,
    audit_routing_key,
    dead_queue_name,
    object_of,
    queue_arguments,
    queue_name,
    queue_names,
    routing_key,
)


@pytest.mark.parametrize("sobject", list(SObject))
def test_a_routing_key_tells_its_object(sobject: SObject) -> None:
    keys = [routing_key(sobject, operation) for operation in Operation]
    assert {object_of(key) for key in (*keys, audit_routing_key(sobject))} == {sobject}


@pytest.mark.parametrize("key", [None, "", "nothing.update", "leads.update"])
def test_any_other_key_tells_none(key: str | None) -> None:
    assert object_of(key) is None


def test_every_queue_is_named_and_keeps_what_it_takes() -> None:
    names = queue_names()
    assert len(names) == len(set(names)) == 2 * len(SObject) + 1
    for sobject in SObject:
        for name in (queue_name(sobject), dead_queue_name(sobject)):
            arguments = queue_arguments(name) or {}
            assert arguments["x-queue-type"] == "quorum"
            assert arguments["x-overflow"] == "reject-publish"
        assert "x-delivery-limit" in (queue_arguments(queue_name(sobject)) or {})
        # What nobody could take has nowhere else to go.
        assert "x-dead-letter-exchange" not in (queue_arguments(dead_queue_name(sobject)) or {})
    assert (queue_arguments(LOG) or {})["x-queue-type"] == "stream"
