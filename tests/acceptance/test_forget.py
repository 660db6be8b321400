"""A person is forgotten by the real command, killed amid; no dump and no replay has her then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
from aiohttp.test_utils import TestServer

from ops import forget
from ops.forget import Kept
from ops.forget.kept import Tombstone
from ops.stack.programs import postgres
from tests import forgotten
from tests.changes import OTHER_ORG_ID, inserted
from tests.forgotten import ADA, BOB, PERSON
from tests.processes import PenstockProcesses
from tests.salesforce import ORG_ID, Salesforce, now_ms
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.starting import Forks

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
RULES: Final = forgotten.RULE.replace(
    '  - {webhook: "https://hooks.example.com/x", fields: {name: LastName}}\n', ""
)
CHANGES: Final = "SELECT count(*) FROM change"
DELIVERED: Final = "SELECT count(*) FROM outbox WHERE state = 'delivered'"
BOBS: Final = "SELECT one::text FROM {} AS one WHERE one::text LIKE '%bob@example.com%' ORDER BY 1"


async def dumped(penstock: PenstockProcesses) -> str:
    """Return the whole database as `pg_dump` writes it, in lower case."""
    url = penstock.environment["PENSTOCK_DATABASE__URL"]
    program = (await postgres()).initdb.with_name("pg_dump")
    dumping = await asyncio.create_subprocess_exec(
        program, "--inserts", url, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await dumping.communicate()
    assert dumping.returncode == 0
    return text.decode().lower()


def tells_of_her(dump: str) -> list[str]:
    """Return what of her is in a dump, as text or as the hexadecimal of bytes."""
    dump = dump.replace("nada@example.com", "")
    words = [one.lower() for one in (*forgotten.CANARIES, "former@example.com")]
    return [one for one in words if one in dump or one.encode().hex() in dump]


async def bobs(penstock: PenstockProcesses) -> list[list[str]]:
    tables = ("change", "record", "enrollment", "outbox")
    return [[row[0] for row in await penstock.fetch(BOBS.format(one))] for one in tables]


async def test_no_dump_and_no_replay_has_who_was_forgotten_though_the_run_was_killed(
    penstock: PenstockProcesses, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules=RULES)
    await penstock.start_worker()
    hooks = Webhooks(SECRET)
    async with TestServer(hooks.app) as target:
        await penstock.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=str(target.make_url("/hook")),
            PENSTOCK_RELAY__WEBHOOK_SECRET=SECRET,
        )
        sent = forgotten.callouts()
        # She opts out only once she is enrolled.
        opts_out = sent.pop(2)
        for callout in sent:
            await org.accepted(callout)
        await penstock.until_counted(3, DELIVERED)
        await org.accepted(opts_out)
        await penstock.until_counted(5, CHANGES)
        before = await bobs(penstock)
        assert len(tells_of_her(await dumped(penstock))) == 4
        command = ("forget", ORG_ID, "--email", ADA)
        planned = (await penstock.run(*command, "--json")).json()
        assert (len(planned["records"]), planned["counts"]["enrollment"]) == (3, 1)

        # The target has heard the exit and not answered yet: the run waits, and is killed.
        hooks.arrived.clear()
        hooks.go_on.clear()
        # Only the owner of the tables erases, which the other commands are not run as.
        async with PenstockProcesses(
            penstock.environment, tmp_path_factory.mktemp("owner")
        ) as owner:
            forgetting = await owner.launch(command[0], "WORKER", {}, *command[1:], "--apply")
            async with asyncio.timeout(60):
                await hooks.arrived.wait()
            await forgetting.kill()
            hooks.go_on.set()
            refused = await penstock.run("runs", "resume", "1")
            assert (refused.returncode, "only the owner" in refused.stderr) == (1, True)
            resumed = await owner.run("runs", "resume", "1", "--json")
        assert resumed.json()["state"] == "finished"
        assert hooks.told()[-1] == ("sequence.recipient.removed", ADA)

    assert tells_of_her(await dumped(penstock)) == []
    assert await bobs(penstock) == before

    # Whatever is kept of before comes again, and what Salesforce had parked.
    replayed = await penstock.run("replay", "--callouts", "--since", "1h", "--apply", "--json")
    assert replayed.json()["run"]["state"] == "finished"
    parked = {"Id": "00Q5g0000099999AAA", **PERSON, "Status": "Qualified"}
    await org.accepted(inserted(parked, captured_at=now_ms() - 5000))
    last = {"Id": BOB, "Email": "bob@example.com", "LastName": "Bob", "Status": "Closed"}
    await org.accepted(inserted(last))
    await penstock.until_counted(3, CHANGES)
    assert tells_of_her(await dumped(penstock)) == []
    assert await penstock.fetch("SELECT FROM outbox WHERE state = 'open'") == []


async def test_erasing_again_goes_on_with_what_broke_off_and_one_orgs_failure_holds_up_no_other(
    database_url: str, tmp_path: Path, forks: Forks
) -> None:
    environment = {"PENSTOCK_DATABASE__URL": database_url, "PENSTOCK_BROKER__URL": "amqp://x"}
    async with (
        PenstockProcesses(environment, tmp_path, start=forks) as penstock,
        asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
    ):
        kept = tmp_path / "tombstones.json"
        again = ("forget", "--again", str(kept))
        ((check,),) = await penstock.fetch("SELECT penstock_address_mark('', '')")
        tombstones = [Tombstone(org_id, BOB, None) for org_id in (OTHER_ORG_ID, ORG_ID)]
        known = Kept(check, tombstones)
        kept.write_bytes(msgspec.json.encode(known))
        # As a command leaves it that is killed before it drives anything; the first run fails.
        first, _ = await forget.again(connection, known, actor="dpo")
        broken = "UPDATE bulk_run SET parameters = parameters - 'is_blocked' WHERE run_id = $1"
        await connection.execute(broken, first.id)

        planned = await penstock.run(*again)
        assert planned.stderr.count("nobody drives it") == 2
        failed = await penstock.run(*again, "--apply", "--json")
        assert [one["state"] for one in msgspec.json.decode(failed.stdout)] == [
            "failed",
            "finished",
        ]
        assert failed.returncode == 1
        assert f"these runs are not finished: {first.id} (" in failed.stderr

        mended = """UPDATE bulk_run SET parameters = parameters || '{"is_blocked": false}'"""
        await connection.execute(mended)
        gone_on = await penstock.run(*again, "--apply", "--json")
        assert [(one["id"], one["state"]) for one in gone_on.json()] == [(first.id, "finished")]
        assert "nothing to do" in (await penstock.run(*again, "--apply")).stderr

        # One that tells targets would wait for their relay, which is paused after a restore.
        ada = forget.named(ORG_ID, [ADA], [])
        telling = await forget.begin(connection, ada, actor="dpo")
        named = await penstock.run(*again, "--apply")
        assert named.returncode == 1
        assert f"`penstock runs resume {telling.id}` goes on" in named.stdout.decode()
