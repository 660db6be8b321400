"""A database of the test's own, with the org that the edge knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.changes import OTHER_ORG_ID, add_org

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool on a database with two orgs."""
    async with open_pool(Database(url=Secret(database_url), pool_size=4), "test") as opened:
        await add_org(opened)
        await add_org(opened, OTHER_ORG_ID)
        yield opened
