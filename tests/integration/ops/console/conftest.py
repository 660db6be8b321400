"""A console on a database of the test's own, and a client that keeps cookies as a browser does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from ops import orgs
from pipeline.settings import Console
from tests.console import console
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection
    from tests.console import Client


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    await orgs.add(opened, ORG_ID, SYNC_USER_ID)
    yield opened
    await opened.close()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with console(database_url, Console()) as opened:
        yield opened
