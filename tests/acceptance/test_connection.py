"""How an org connects, changes its secret, pauses, and learns which changes are worth sending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from pipeline.key_ring import new_key
from pipeline.signing import new_secret
from tests.salesforce import (
    LEAD_ID,
    ORG_ID,
    RULE,
    SYNC_USER_ID,
    Salesforce,
    callout,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.processes import PenstockProcesses

CHANGE: Final = {"old": {"Id": LEAD_ID}, "new": {"Id": LEAD_ID, "Status": "Working"}}
DEADLINE_S: Final = 10.0


@pytest.fixture
async def stranger(penstock: PenstockProcesses) -> Salesforce:
    """An org that nobody has registered; ingest runs."""
    await penstock.start_ingest()
    return Salesforce(penstock, "")


async def register(penstock: PenstockProcesses, org_id: str = ORG_ID) -> str:
    """Return the connect code."""
    added = await penstock.run("org", "add", org_id, "--sync-user", SYNC_USER_ID, "--json")
    return str(added.json()["connect_code"])


async def rotate(penstock: PenstockProcesses) -> str:
    """Return the new connect code."""
    rotated = (await penstock.run("org", "rotate", ORG_ID, "--json")).json()
    assert rotated["org_id"] == ORG_ID
    return str(rotated["connect_code"])


def greeting(**keys: Any) -> bytes:
    return msgspec.json.encode(
        {
            "version": 1,
            "org_id": ORG_ID,
            "instance_url": "https://example.my.salesforce.com",
            "is_sandbox": False,
            "user_id": SYNC_USER_ID,
            "package_version": "0.1.0",
            **keys,
        }
    )


async def greet(org: Salesforce, code: str, **keys: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the document of a handshake's answer."""
    body = greeting(**keys)
    async with await org.post("handshake", body, sign(code, body)) as response:
        is_problem = response.content_type == "application/problem+json"
        assert is_problem == (response.status != 200)
        return response.status, msgspec.json.decode(await response.read())


async def status_of(org: Salesforce, secret: str) -> int:
    """Return what a callout signed with `secret` is answered."""
    body = msgspec.json.encode(callout([CHANGE], org_id=org.org_id))
    async with await org.post("changes", body, sign(secret, body)) as response:
        return response.status


async def until_answered(expected: int, org: Salesforce, secret: str) -> None:
    """Return once a callout is answered so: ingest hears of what a command did by notification."""
    async with asyncio.timeout(DEADLINE_S):
        while await status_of(org, secret) != expected:
            pass


async def conditions_of(penstock: PenstockProcesses, org: Salesforce) -> Mapping[str, Any]:
    url = f"{penstock.ingest_url}/v1/orgs/{org.org_id}/conditions"
    async with penstock.session.get(url, headers=sign(org.secret, b"")) as response:
        assert response.status == 200, await response.text()
        found: Mapping[str, Any] = msgspec.json.decode(await response.read())
        return found


async def test_only_the_sync_user_with_the_code_connects_an_org(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    assert (await greet(stranger, new_secret()))[0] == 403, "not registered"
    code = await register(penstock)
    # Refused until ingest has heard of the org, and then for the wrong code alone.
    async with asyncio.timeout(DEADLINE_S):
        while (await greet(stranger, new_secret()))[0] != 401:
            pass

    status, problem = await greet(stranger, code, user_id="0055g00000OtherAAA")
    assert (status, "Sync User" in problem["detail"]) == (403, True), problem
    status, problem = await greet(stranger, code, org_id="00D5g000004OthrEAA")
    assert (status, "another org" in problem["detail"]) == (403, True), problem
    status, problem = await greet(stranger, code, package_version=None)
    assert (status, problem["place"]) == (422, "$.package_version"), problem
    assert code not in str(problem)
    assert await status_of(stranger, code) == 403, "a code signs no callouts"

    status, answer = await greet(stranger, code)
    assert status == 200
    assert answer["secret"].startswith("whsec_")
    assert answer["conditions_version"] >= 1
    assert answer["secret"] != code
    assert await status_of(stranger, code) == 401, "a code signs no callouts"
    assert await status_of(stranger, answer["secret"]) == 202


async def test_a_handshake_whose_answer_was_lost_is_answered_alike_until_the_secret_is_used(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    code = await register(penstock)
    secret = await stranger.shake_hands(code)
    for _ in range(3):
        assert (await greet(stranger, code))[1]["secret"] == secret

    assert await status_of(stranger, secret) == 202
    status, problem = await greet(stranger, code)
    assert (status, "connect code" in problem["detail"]) == (403, True), problem
    # And so after a start with nothing in memory.
    await penstock.until_counted(1, "SELECT count(*) FROM org WHERE connect_code IS NULL")
    await penstock.start_ingest()
    assert (await greet(stranger, code))[0] == 403
    assert await status_of(stranger, secret) == 202


async def test_a_code_is_good_for_a_day(penstock: PenstockProcesses, stranger: Salesforce) -> None:
    code = await register(penstock)
    (row,) = await penstock.fetch(
        "SELECT extract(epoch FROM connect_code_expires_at - now())::float8 FROM org"
    )
    assert row[0] == pytest.approx(24 * 3600, abs=60)
    await penstock.fetch("UPDATE org SET connect_code_expires_at = now() - interval '1 s'")
    async with asyncio.timeout(DEADLINE_S):
        while "connect code" not in (answer := await greet(stranger, code))[1]["detail"]:
            assert answer[0] == 403
    assert (await greet(stranger, code))[0] == 403


async def test_ids_of_15_characters_mean_the_same_org(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    code = await register(penstock, ORG_ID[:15])
    short = Salesforce(penstock, "", ORG_ID[:15])
    short.secret = await short.shake_hands(code)
    assert await status_of(short, short.secret) == 202
    assert await status_of(stranger, short.secret) == 202
    (listed,) = (await penstock.run("org", "list", "--json")).json()
    assert (listed["org_id"], listed["state"]) == (ORG_ID, "connected")


async def test_the_old_secret_is_good_until_the_new_one_is_first_used(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    old = await stranger.shake_hands(await register(penstock))
    assert await status_of(stranger, old) == 202

    code = await rotate(penstock)
    assert await status_of(stranger, old) == 202
    new = await stranger.shake_hands(code)
    assert new != old
    assert await status_of(stranger, old) == 202, "the new one was not used yet"

    assert await status_of(stranger, new) == 202
    assert await status_of(stranger, old) == 401
    await penstock.until_counted(1, "SELECT count(*) FROM org WHERE secret = $1", new)
    await penstock.start_ingest()
    assert await status_of(stranger, old) == 401
    assert await status_of(stranger, new) == 202


async def test_a_secret_that_was_given_stays_good_when_a_new_code_is_printed_before_its_first_use(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    first = await stranger.shake_hands(await register(penstock))
    code = await rotate(penstock)
    second = await stranger.shake_hands(code)
    assert await status_of(stranger, first) == 202
    assert await status_of(stranger, second) == 202
    assert await status_of(stranger, first) == 401


async def test_a_paused_org_is_refused_until_it_is_resumed(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    secret = await stranger.shake_hands(await register(penstock))
    assert await status_of(stranger, secret) == 202
    assert (await penstock.run("org", "pause", ORG_ID)).returncode == 0
    await until_answered(403, stranger, secret)
    assert (await greet(stranger, new_secret()))[0] == 403
    assert (await penstock.run("org", "resume", ORG_ID)).returncode == 0
    await until_answered(202, stranger, secret)


async def test_conditions_follow_the_rules_and_every_answer_tells_their_version(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    org = stranger
    org.secret = await org.shake_hands(await register(penstock))
    before = await conditions_of(penstock, org)
    assert before["objects"] == {}

    applied = await penstock.run("rules", "apply", "-", "--org", ORG_ID, stdin=RULE)
    assert applied.returncode == 0, applied.stderr
    async with asyncio.timeout(DEADLINE_S):
        while (after := await conditions_of(penstock, org)) == before:
            pass
    assert after["version"] == before["version"] + 1
    assert {"AnnualRevenue", "Rating", "Status"} <= set(after["objects"]["Lead"])
    answer = msgspec.json.decode(await (await org.send(callout([CHANGE]))).read())
    assert answer == {"accepted": 1, "conditions_version": after["version"]}

    # Applied again, nothing changes: Apex fetches nothing.
    await penstock.run("rules", "apply", "-", "--org", ORG_ID, stdin=RULE)
    assert await conditions_of(penstock, org) == after

    url = f"{penstock.ingest_url}/v1/orgs/{ORG_ID}/conditions"
    for headers in ({}, sign(new_secret(), b""), sign(org.secret, b"{}")):
        async with penstock.session.get(url, headers=headers) as response:
            assert response.status == 401


async def loads_of(penstock: PenstockProcesses) -> list[tuple[str, str, str]]:
    """Return object, cause and state of each object's newest load."""
    shown = (await penstock.run("org", "loads", ORG_ID, "--json")).json()
    return [(load["object"], load["cause"], load["state"]) for load in shown]


async def test_the_first_handshake_begins_a_load_of_what_rules_read_and_no_other_does(
    penstock: PenstockProcesses, stranger: Salesforce
) -> None:
    code = await register(penstock)
    rules = RULE.replace("Rating, equals", "Owner.Department, equals")
    applied = await penstock.run("rules", "apply", "-", "--org", ORG_ID, stdin=rules)
    assert applied.returncode == 0, applied.stderr
    assert await loads_of(penstock) == [], "nobody is there who could be asked"

    stranger.secret = await stranger.shake_hands(code)
    # Contacts, too: who opted out there is enrolled nowhere.
    assert await loads_of(penstock) == [
        (sobject, "connected", "waiting") for sobject in ("User", "Contact", "Lead")
    ]

    gone = await penstock.run("org", "load", ORG_ID, "--cancel")
    assert gone.returncode == 0, gone.stderr
    stranger.secret = await stranger.shake_hands(await rotate(penstock))
    assert {state for _, _, state in await loads_of(penstock)} == {"withdrawn"}


async def test_an_org_connects_and_sends_under_encrypted_secrets_while_the_key_is_changed(
    penstock: PenstockProcesses,
) -> None:
    old, new = new_key(), new_key()
    penstock.environment["PENSTOCK_SECRETS__KEYS"] = old
    # One that knows both keys, as after the restart that comes before a change of key.
    await penstock.start_ingest(PENSTOCK_SECRETS__KEYS=f"{new},{old}")
    code = await register(penstock)
    org = Salesforce(penstock, "")
    org.secret = await org.shake_hands(code)
    await until_answered(202, org, org.secret)
    rows = str(await penstock.fetch("SELECT org::text FROM org"))
    assert code not in rows
    assert org.secret not in rows

    penstock.environment["PENSTOCK_SECRETS__KEYS"] = f"{new},{old}"
    assert (await penstock.run("secrets", "rotate")).returncode == 0
    assert await status_of(org, org.secret) == 202
    await penstock.start_ingest(PENSTOCK_SECRETS__KEYS=new)
    assert await status_of(org, org.secret) == 202
    # Without the key it can take nothing, and loses nothing: the org is told to come again.
    await penstock.start_ingest(PENSTOCK_SECRETS__KEYS=old)
    assert await status_of(org, org.secret) == 503

    # A key that is lost: the org connects anew, and what it signed with before is gone.
    lost, penstock.environment["PENSTOCK_SECRETS__KEYS"] = org.secret, old
    org.secret = await org.shake_hands(await rotate(penstock))
    await until_answered(202, org, org.secret)
    await until_answered(401, org, lost)
