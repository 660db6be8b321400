from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.stack.ports import free_port
from pipeline.admin import AdminServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Admin:
    """An admin server with two checks, whose answers the test sets."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.problems: dict[str, str | None] = {"broker": None, "database": None}
        self._session = session
        self._url = url

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self._url + path) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    port = free_port()
    async with aiohttp.ClientSession() as session:
        admin = Admin(session, f"http://127.0.0.1:{port}")
        checks = {
            "broker": lambda: admin.problems["broker"],
            "database": lambda: admin.problems["database"],
        }
        async with AdminServer("127.0.0.1", port, checks):
            yield admin


async def test_a_process_that_can_do_its_work_is_alive_and_ready(admin: Admin) -> None:
    assert await admin.get("/healthz") == (200, {"status": "alive"})
    assert await admin.get("/readyz") == (
        200,
        {"ready": True, "checks": {"broker": "ok", "database": "ok"}},
    )


async def test_one_that_cannot_is_alive_and_says_what_lacks(admin: Admin) -> None:
    admin.problems["broker"] = "not connected to RabbitMQ"
    assert (await admin.get("/healthz"))[0] == 200
    assert await admin.get("/readyz") == (
        503,
        {"ready": False, "checks": {"broker": "not connected to RabbitMQ", "database": "ok"}},
    )
    admin.problems["broker"] = None
    assert (await admin.get("/readyz"))[0] == 200


async def test_metrics_parse(admin: Admin) -> None:
    status, text = await admin.get("/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "penstock_callouts" in names


async def test_there_is_nothing_else(admin: Admin) -> None:
    assert (await admin.get("/"))[0] == 404
