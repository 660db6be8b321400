from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.registry import Registry
from ops import org_secrets, orgs
from ops.doctor.finding import State
from ops.doctor.orgs import secrets
from ops.doctor.subject import Subject
from ops.errors import OpsError
from ops.org_secrets import AtRest, Rotated
from pipeline.key_ring import new_key, parse_keys
from pipeline.settings import Secret, load
from pipeline.signing import new_secret

if TYPE_CHECKING:
    from pipeline.database import Connection

ORG_ID, OTHER_ORG_ID = "00D5g000004XyzAEAS", "00D5g000004OthrEAS"
SYNC_USER_ID = "0055g00000AbCdEAAV"
OLD, NEW = new_key(), new_key()


async def test_plain_rows_are_encrypted_then_the_key_is_changed_and_ingest_reads_throughout(
    connection: Connection,
) -> None:
    first, second = new_secret(), new_secret()
    code = await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    await orgs.add(connection, OTHER_ORG_ID, SYNC_USER_ID)
    await connection.execute(
        "UPDATE org SET secret = $2, next_secret = $3 WHERE org_id = $1", ORG_ID, first, second
    )
    for keys in (OLD, f"{NEW},{OLD}", NEW):
        ring = parse_keys(keys)
        await org_secrets.rotate(connection, ring)
        assert await org_secrets.rotate(connection, ring) == Rotated(0, 2)
        assert await org_secrets.at_rest(connection, ring) == AtRest(0, [])
        rows = str(await connection.fetch("SELECT org::text FROM org"))
        assert not any(text in rows for text in (first, second, code.connect_code))
        registry = Registry(Secret(""), ring=ring)
        await registry.read(connection)
        known = registry.get(ORG_ID)
        assert known is not None
        assert (known.secret, known.next_secret) == (first, second)
        assert known.connect_code == code.connect_code


async def test_a_row_copied_to_another_org_does_not_open_and_the_others_are_served(
    connection: Connection,
) -> None:
    ring = parse_keys(NEW)
    await orgs.add(connection, ORG_ID, SYNC_USER_ID, ring=ring)
    await orgs.add(connection, OTHER_ORG_ID, SYNC_USER_ID, ring=ring)
    await connection.execute(
        "UPDATE org SET secret = (SELECT connect_code FROM org WHERE org_id = $2)"
        " WHERE org_id = $1",
        OTHER_ORG_ID,
        ORG_ID,
    )
    registry = Registry(Secret(""), ring=ring)
    await registry.read(connection)
    copied, own = registry.get(OTHER_ORG_ID), registry.get(ORG_ID)
    assert copied is not None
    assert own is not None
    assert copied.keys == ()
    assert copied.connect_code is not None
    assert copied.unreadable
    assert own.unreadable is None
    assert (await org_secrets.at_rest(connection, ring)).unreadable == [OTHER_ORG_ID]


async def test_a_rotation_without_the_old_key_names_the_org_and_changes_nothing(
    connection: Connection,
) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID, ring=parse_keys(OLD))
    before = await connection.fetchval("SELECT connect_code FROM org")
    with pytest.raises(OpsError, match=ORG_ID):
        await org_secrets.rotate(connection, parse_keys(NEW))
    assert await connection.fetchval("SELECT connect_code FROM org") == before


async def test_the_doctor_tells_plain_stale_encrypted_and_unreadable_apart(
    connection: Connection,
) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)

    async def told(keys: str) -> tuple[State, str | None]:
        subject = Subject(load({"PENSTOCK_SECRETS__KEYS": keys}), connection, "no broker")
        verdict = await secrets(subject)
        return verdict.state, verdict.mend

    assert await told("") == (State.FINE, None)
    assert await told(OLD) == (State.WRONG, "penstock secrets rotate")
    await org_secrets.rotate(connection, parse_keys(OLD))
    assert await told(OLD) == (State.FINE, None)
    assert await told(f"{NEW},{OLD}") == (State.WRONG, "penstock secrets rotate")
    for without in (NEW, ""):
        state, mend = await told(without)
        assert (state, "PENSTOCK_SECRETS__KEYS" in str(mend)) == (State.WRONG, True)
