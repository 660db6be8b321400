"""From the version before to this one, and back, while callouts come in: nobody notices.

The suite has workers of both side by side; `make upgrade` rolls a whole fleet, in minutes.
`UPGRADE_FROM=COMMIT` upgrades from any other commit.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.fleet import Fleet
from tests.load import Load
from tests.previous_version import FROM, NoPreviousVersion, previous_commit, unpack
from tests.processes import PenstockProcesses
from tests.salesforce import Salesforce
from tests.servers import execute
from tests.shares import until_each_works
from tests.starting import Fresh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.starting import Forks

# Processes start meanwhile, on a machine that may have others to run: 2 s are measured elsewhere.
WITHIN_S: Final = 10.0
# What is refused for a backlog depends on what else the machine does. A setting that a version does
# not know keeps it from starting.
NOT_BOUNDED: Final = {"PENSTOCK_INGEST__BACKLOG_S": "0"}
WHOLE: Final = pytest.mark.skipif("UPGRADE" not in os.environ, reason="takes minutes: make upgrade")


class Versions:
    """Processes of the version before and of this one, on the same servers."""

    def __init__(self, old: PenstockProcesses, new: PenstockProcesses) -> None:
        self.old = old
        self.new = new

    async def migrate(self) -> None:
        """Bring the database from the version before to this one's."""
        self.new.environment = self.old.environment | NOT_BOUNDED
        self.new.ingest_url = self.old.ingest_url
        migrated = await self.new.run("migrate")
        assert migrated.returncode == 0, migrated.stderr


@pytest.fixture
async def versions(
    broker_url: str, empty_database_url: str, template_database: str, tmp_path: Path, forks: Forks
) -> AsyncIterator[Versions]:
    """Both versions, on a database as the version before has it."""
    del template_database  # the roles come with it
    try:
        code = unpack(previous_commit(), tmp_path / "code")
    except NoPreviousVersion as error:
        # Whoever names a version wants that one, and no test left out.
        if FROM in os.environ:
            raise
        pytest.skip(f"no version to upgrade from: {error}")
    environment = {
        "PENSTOCK_BROKER__URL": broker_url,
        "PENSTOCK_DATABASE__URL": empty_database_url,
        "PENSTOCK_LOG__FORMAT": "json",
    }
    if any("backlog_s" in file.read_text() for file in code.glob("pipeline/settings/*.py")):
        environment |= NOT_BOUNDED
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    has_roles = (code / "pipeline/database/access.py").exists()
    async with (
        PenstockProcesses(
            environment, folders[0], in_roles=has_roles, start=Fresh(code=code)
        ) as old,
        PenstockProcesses(environment, folders[1], in_roles=True, start=forks) as new,
    ):
        migrated = await old.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        yield Versions(old, new)


async def test_workers_of_the_version_before_and_of_this_one_share_a_queue(
    versions: Versions,
) -> None:
    old, new = versions.old, versions.new
    await old.start_ingest()
    org = await Salesforce.connect(old)
    older = await old.start_worker("lead")
    async with Load(org, sender_count=4, rest_s=0.03) as load:
        await load.until_accepted(20)
        await versions.migrate()
        newer = await new.start_worker("lead")
        await until_each_works(new.session, [older, newer])
        assert await older.terminate() == 0, older.log
        await until_each_works(new.session, [newer])
    load.assert_put_off_at_worst(WITHIN_S)
    await load.assert_kept_once(new)


@asynccontextmanager
async def migrated_fleet(versions: Versions) -> AsyncIterator[Fleet]:
    """A fleet of the version before, under load, on this version's database."""
    fleet = Fleet(versions.old)
    async with fleet.started(), fleet.load(WITHIN_S):
        await versions.migrate()
        yield fleet


@WHOLE
@pytest.mark.timeout(300)
async def test_a_fleet_goes_to_this_version_and_back_and_loses_and_doubles_nothing(
    versions: Versions,
) -> None:
    async with migrated_fleet(versions) as fleet:
        await fleet.all_work()
        # Half of each kind, the other half, and one of each back again.
        for penstock, number in ((versions.new, 0), (versions.new, 1), (versions.old, 0)):
            fleet.penstock = penstock
            kinds = ("relay", "worker", "ingest")
            await asyncio.gather(*(fleet.restart(kind, number) for kind in kinds))
            await fleet.all_work()


@WHOLE
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("ALTER TABLE record DROP COLUMN sequence", "worker"),
        ("ALTER TABLE outbox RENAME COLUMN unanswered TO is_unanswered", "relay"),
    ],
)
async def test_a_migration_that_the_version_before_cannot_bear_is_seen(
    versions: Versions, change: str, kind: str
) -> None:
    async def upgrade() -> None:
        async with migrated_fleet(versions) as fleet:
            await execute(versions.old.environment["PENSTOCK_DATABASE__URL"], change)
            await fleet.all_work()

    with pytest.raises(AssertionError, match=f"nothing was done by (?s:.*){kind}:"):
        await upgrade()
