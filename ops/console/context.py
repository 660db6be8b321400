"""What every page stands on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from ops.console.sessions import Session
from ops.console_tokens import Owner

if TYPE_CHECKING:
    from jinja2 import Environment

    from ops.console.attempts import Attempts
    from ops.console.drivers import Drivers
    from ops.console.sessions import Sessions
    from ops.console.watching import Watching
    from pipeline.database import Pool
    from pipeline.settings import Settings


@dataclass(frozen=True)
class Context:
    """The console's own things. `stop` is set when it drains, which ends what streams."""

    settings: Settings
    pool: Pool
    templates: Environment
    sessions: Sessions
    attempts: Attempts
    watching: Watching
    drivers: Drivers
    stop: asyncio.Event = field(default_factory=asyncio.Event)


CONTEXT: Final = web.AppKey("context", Context)
# Of a request: its session, and whose it is.
SESSION: Final = web.RequestKey("session", Session)
OWNER: Final = web.RequestKey("owner", Owner)


def context_of(request: web.Request) -> Context:
    """Return the console's own things."""
    return request.config_dict[CONTEXT]


def session_of(request: web.Request) -> Session | None:
    """Return the request's session, if it has one."""
    return request.get(SESSION)


def owner_of(request: web.Request) -> Owner:
    """Return whose request it is. Pages are asked for nobody who is not signed in."""
    return request[OWNER]
