from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.signing import new_secret
from tests.unit.ingest.edge import ORG_ID, Edge

SECRET_VALUE = "do-not-show-me\n"


def document(**keys: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "org_id": ORG_ID,
        "package_version": "0.1.0",
        "api_version": "65.0",
        "clock": 1795430400123,
        "parked": 0,
        "overflow": 0,
        "async_used": 120,
        "async_limit": 250000,
        "conditions_version": 3,
        "acknowledged": [],
        **keys,
    }


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"version": 2}, "$.version"),
        ({"org_id": SECRET_VALUE}, "$.org_id"),
        ({"package_version": SECRET_VALUE}, "$.package_version"),
        ({"package_version": "1" * 65}, "$.package_version"),
        ({"api_version": 65}, "$.api_version"),
        ({"api_version": None}, "$.api_version"),
        ({"clock": -1}, "$.clock"),
        ({"clock": "2026-05-01T12:00:00Z"}, "$.clock"),
        ({"parked": 0.5}, "$.parked"),
        ({"parked": 2**31}, "$.parked"),
        ({"overflow": None}, "$.overflow"),
        ({"async_used": "120"}, "$.async_used"),
        ({"async_limit": -1}, "$.async_limit"),
        ({"conditions_version": True}, "$.conditions_version"),
        ({"acknowledged": None}, "$.acknowledged"),
        ({"acknowledged": [7, "8"]}, "$.acknowledged[1]"),
        ({"acknowledged": [2**53]}, "$.acknowledged[0]"),
        ({"acknowledged": list(range(1001))}, "$.acknowledged"),
    ],
)
async def test_what_is_not_the_contract_is_a_422_that_names_the_place(
    keys: dict[str, Any], place: str
) -> None:
    status, answer = await Edge().post(json.dumps(document(**keys)).encode(), "heartbeat")
    assert (status, answer["place"]) == (422, place)
    assert SECRET_VALUE.strip() not in answer["detail"]


@pytest.mark.parametrize("key", [key for key in document() if key != "acknowledged"])
async def test_every_key_but_what_is_acknowledged_is_required(key: str) -> None:
    keys = document()
    del keys[key]
    status, answer = await Edge().post(json.dumps(keys).encode(), "heartbeat")
    assert (status, answer["place"]) == (422, f"$.{key}")


async def test_what_is_no_json_forged_or_of_another_org_is_refused() -> None:
    edge = Edge()
    assert (await edge.post(b"{", "heartbeat"))[0] == 400
    assert (await edge.post(b"{", "heartbeat", secret=new_secret()))[0] == 401
    body = json.dumps(document(org_id="00D5g000004OthrEAS")).encode()
    assert (await edge.post(body, "heartbeat"))[0] == 403


async def test_nothing_of_it_is_for_the_broker() -> None:
    # Refused for what it says, not for a broker that is away.
    status, _ = await Edge(connected=False).post(b"{", "heartbeat")
    assert status == 400
