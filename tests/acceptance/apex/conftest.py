"""Fixtures of the tests that run the Salesforce package against the real services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.salesforce_org import connected_org

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.processes import PenstockProcesses, Running


@pytest.fixture
async def ingest(penstock: PenstockProcesses) -> Running:
    """An ingest that runs."""
    return await penstock.start_ingest()


@pytest.fixture
async def services(penstock: PenstockProcesses, ingest: Running) -> PenstockProcesses:
    """Penstock with an ingest and a worker that run."""
    assert ingest.pid
    await penstock.start_worker()
    return penstock


@pytest.fixture
async def org(services: PenstockProcesses) -> Org:
    """An org of the default rules, connected to them."""
    return await connected_org(services)
