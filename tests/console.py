"""The console without its process: its pages for a client that keeps cookies as a browser does."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from ops import console_tokens
from ops.console.app import application
from ops.console.context import CONTEXT
from pipeline.database import open_pool
from pipeline.settings import Broker, Console, Database, Secret, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from ops.console_tokens import Role
    from pipeline.database import Connection

    Client: TypeAlias = TestClient[web.Request, web.Application]


@asynccontextmanager
async def console(database_url: str, settings: Console) -> AsyncIterator[Client]:
    """Serve the console as its process does, for a client that keeps cookies as a browser does."""
    whole = Settings(
        # Nobody listens there: the flow says so.
        broker=Broker(url=Secret("amqp://127.0.0.1:1/")),
        database=Database(url=Secret(database_url)),
        console=settings,
    )
    async with open_pool(whole.database, "test console") as pool:
        app = application(whole, pool)
        jar = aiohttp.CookieJar(unsafe=True)
        async with TestClient(TestServer(app), cookie_jar=jar) as client:
            yield client
            app[CONTEXT].stop.set()


async def form_token(client: Client, path: str) -> str:
    """Return what the forms of a page carry."""
    async with client.get(path) as response:
        found = re.search(r'name="form_token" value="([^"]+)"', await response.text())
    assert found is not None
    return found[1]


async def sign_in(client: Client, token: str) -> HTTPStatus:
    form = {"token": token, "form_token": await form_token(client, "/sign-in")}
    async with client.post("/sign-in", data=form, allow_redirects=False) as response:
        return HTTPStatus(response.status)


async def signed_in(client: Client, connection: Connection, role: Role) -> None:
    added = await console_tokens.add(connection, role.value, role)
    assert await sign_in(client, added.token) is HTTPStatus.SEE_OTHER
