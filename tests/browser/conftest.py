"""A browser, and everything that it looks at: one set of processes for all stories."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import aio_pika
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from pipeline import topology
from tests.browser.scene import Scene, scene
from tests.servers import database_at, execute, manage, new_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser, ConsoleMessage, Page, Request

    from ops.console_tokens import Role
    from ops.stack import PrivatePostgres, PrivateRabbitMQ
    from tests.servers import LoopThread
    from tests.starting import Forks

    # Opens a page, signed in with a role's token if one is given.
    Visit = Callable[..., AbstractAsyncContextManager[Page]]

_CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            why = "Chromium is not installed: apt-get install chromium"
            item.add_marker(pytest.mark.skipif(_CHROMIUM is None, reason=why))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One headless Chromium."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=_CHROMIUM, headless=True, args=list(_FLAGS)
        )
        yield opened
        await opened.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def played(
    rabbitmq_server: PrivateRabbitMQ,
    postgres_server: PrivatePostgres,
    template_database: str,
    server_loop: LoopThread,
    forks: Forks,
) -> AsyncIterator[Scene]:
    """Every process, on a broker and a database of their own."""
    name = new_name("browser")
    server_loop.run(
        execute(postgres_server.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    )
    management = rabbitmq_server.management_url
    everything = '{"configure": ".*", "write": ".*", "read": ".*"}'
    manage(management, "PUT", f"/api/vhosts/{name}", "{}")
    manage(management, "PUT", f"/api/permissions/{name}/penstock", everything)
    environment = {
        "PENSTOCK_BROKER__URL": rabbitmq_server.url + quote(name, safe=""),
        "PENSTOCK_DATABASE__URL": database_at(postgres_server.url, name),
        "PENSTOCK_LOG__FORMAT": "json",
    }
    async with await aio_pika.connect(environment["PENSTOCK_BROKER__URL"]) as connection:
        await topology.declare(await connection.channel())
    with tempfile.TemporaryDirectory() as folder:
        async with scene(environment, Path(folder), forks) as opened:
            yield opened
    manage(management, "DELETE", f"/api/vhosts/{name}")
    server_loop.run(execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def visit(browser: Browser, played: Scene) -> Visit:
    """Open pages in which nothing may go wrong unseen and nothing may be asked of elsewhere."""
    base_url = played.penstock.console_url
    host = urlsplit(base_url).netloc

    @asynccontextmanager
    async def opened(
        role: Role | None = None,
        *,
        width: int = 1280,
        color_scheme: str = "light",
        javascript: bool = True,
        refusals: int = 0,
    ) -> AsyncIterator[Page]:
        context = await browser.new_context(
            base_url=base_url,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if color_scheme == "dark" else "light",
            java_script_enabled=javascript,
        )
        page = await context.new_page()
        problems: list[str] = []
        elsewhere: list[str] = []

        def on_console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                problems.append(message.text)

        def on_request(request: Request) -> None:
            if urlsplit(request.url).netloc != host:
                elsewhere.append(request.url)

        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", on_request)
        if role is not None:
            await page.goto("/sign-in")
            await page.get_by_label("Token").fill(played.tokens[role])
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url("**/flow")
        try:
            yield page
        finally:
            await context.close()
        # Browsers call each refused request an error.
        refused = [text for text in problems if "the server responded with a status of 4" in text]
        assert [text for text in problems if text not in refused] == []
        assert len(refused) == refusals, refused
        assert elsewhere == []

    return opened
