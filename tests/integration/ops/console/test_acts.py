"""What is done in the console is done once, and written down with the token's name."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from ops import actions, enrollments, forget
from ops.actions import Action
from ops.console_tokens import Role
from tests.console import form_token, signed_in
from tests.outbox_rows import add
from tests.salesforce import LEAD_ID, ORG_ID

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool
    from tests.console import Client

STATES = "SELECT recipient, state FROM enrollment"


async def test_pausing_an_org_is_written_down(client: Client, connection: Connection) -> None:
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    for verb in ("pause", "resume"):
        async with client.post(f"/orgs/{ORG_ID}/{verb}", data=form) as response:
            assert response.status == HTTPStatus.OK
    done = await actions.listing(connection, limit=9)
    assert [(one.actor, one.action, one.parameters) for one in done] == [
        ("operate", Action.ORG_RESUME, {"org_id": ORG_ID}),
        ("operate", Action.ORG_PAUSE, {"org_id": ORG_ID}),
    ]
    async with client.get("/actions") as response:
        assert f"org id {ORG_ID}" in await response.text()


async def test_what_could_not_be_done_is_not_written_down(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    for path in (f"/rules/{ORG_ID}/unknown/disable", "/enrollments/7/release"):
        async with client.post(path, data=form) as response:
            assert response.status == HTTPStatus.CONFLICT
    assert await actions.listing(connection, limit=9) == []


async def test_an_org_says_how_many_are_forgotten_and_of_nobody_who(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.VIEW)
    for emails, is_blocked in ((["ada@example.com"], True), (["bob@example.com"], False)):
        person = forget.named(ORG_ID, emails, [LEAD_ID], is_blocked=is_blocked)
        await forget.begin(connection, person, actor="dpo")
    async with client.get(f"/orgs/{ORG_ID}") as response:
        text = await response.text()
    told = re.sub(r"<[^>]+>", " ", text.partition('id="forgotten"')[2]).split()
    assert "Records 1 Addresses 2 of which blocked for ever: 1" in " ".join(told)
    assert "example.com" not in text


async def test_held_enrolments_are_released_one_by_one_or_by_sequence(
    client: Client, connection: Connection, pool: Pool
) -> None:
    (one,) = await add(pool, "one@x.org", state="held")
    await add(pool, "two@x.org", "three@x.org", state="held")
    await add(pool, "other@x.org", sequence="other", state="held")
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    await client.post(f"/enrollments/{one}/release", data=form, allow_redirects=False)
    async with client.get("/enrollments/release?sequence=nurture") as response:
        assert "2 held enrolments would be released" in await response.text()
    await client.post("/enrollments/release", data={**form, "sequence": "nurture"})
    found = await connection.fetch(STATES)
    assert {row["recipient"]: row["state"] for row in found} == {
        "one@x.org": "pending",
        "two@x.org": "pending",
        "three@x.org": "pending",
        "other@x.org": "held",
    }
    # Nobody releases everything by leaving everything out.
    async with client.post("/enrollments/release", data=form) as response:
        assert response.status == HTTPStatus.BAD_REQUEST
    done = await actions.listing(connection, limit=9)
    assert [action.action for action in done] == [Action.ENROLLMENTS_RELEASE] * 2


async def test_lists_are_paged_by_key_and_lose_nothing(connection: Connection, pool: Pool) -> None:
    await add(pool, *(f"p{number:03}@x.org" for number in range(7)))
    await pool.execute(
        """WITH fired AS (
               INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version, object,
                                   captured_at, sequence, capture_id, evidence)
               SELECT org_id, 't' || enrollment_id, '00Q1', 'hot', 1, 'Lead', 1, 0, 'c', '[]'
               FROM enrollment RETURNING firing_id, transaction_id)
           UPDATE enrollment SET firing_id = fired.firing_id FROM fired
           WHERE fired.transaction_id = 't' || enrollment_id"""
    )
    seen: list[str] = []
    before: int | None = None
    while rows := await enrollments.newest(connection, org_id=ORG_ID, before=before, limit=3):
        seen += [row.recipient for row in rows]
        before = rows[-1].id
    assert seen == [f"p{number:03}@x.org" for number in reversed(range(7))]
