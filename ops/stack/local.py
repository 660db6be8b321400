"""The local stack: private servers, kept running for as long as a block of code."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from ops.stack import postgres, rabbitmq
from ops.stack.accounts import can_reach, make_folder, service_account
from ops.stack.children import together
from ops.stack.home import BROKER_URL, DATABASE_URL, Home
from ops.stack.postgres import PrivatePostgres
from ops.stack.programs import install_missing
from ops.stack.rabbitmq import PrivateRabbitMQ

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from ops.stack.children import Said


class LocalStack:
    """RabbitMQ and PostgreSQL of `folder`'s own, up within the `async with` block.

    Entering installs what is missing, starts both at once and announces them to `discover`;
    leaving stops them. In between a server that dies is started again. `said` is told, a line at a
    time, what an operator would want to know. A server whose URL is given otherwise is left out by
    `broker=False` or `database=False`.

    Raises, on entering:
        StackError: a stack runs in `folder` already, or a server could not be installed or
            started. Nothing is left running.
    """

    def __init__(
        self,
        folder: Path,
        *,
        said: Said,
        broker: bool = True,
        database: bool = True,
        plugins: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._said = said
        self._wanted = (broker, database)
        self._plugins = plugins
        self._held = ExitStack()
        self.broker: PrivateRabbitMQ | None = None
        self.database: PrivatePostgres | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings, by environment variable, that reach the servers of this stack."""
        found = {}
        if self.broker is not None:
            found[BROKER_URL] = self.broker.url
        if self.database is not None:
            found[DATABASE_URL] = self.database.url
        return found

    async def __aenter__(self) -> Self:
        home = Home(self._folder)
        self._held.enter_context(home.lock())
        try:
            home.withdraw()
            await self._start(home)
            home.announce(self.environment)
        except BaseException:
            await self._stop()
            raise
        self._held.callback(home.withdraw)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self, home: Home) -> None:
        broker, database = self._wanted
        await install_missing(
            broker=broker,
            database=database,
            log_path=home.path / "install.log",
            said=self._said,
        )
        folder = await self._servers_folder(home)
        steps = []
        if broker:
            self.broker = PrivateRabbitMQ(
                folder / "rabbitmq", plugins=self._plugins, said=self._said
            )
            steps.append(self.broker.start())
        if database:
            self.database = PrivatePostgres(folder / "postgres", said=self._said)
            steps.append(self.database.start())
        await together(*steps)

    async def _servers_folder(self, home: Home) -> Path:
        for name in (rabbitmq.SERVICE_USER, postgres.SERVICE_USER):
            if not await can_reach(service_account(name), home.path):
                folder = home.service_folder
                make_folder(folder.parent, 0o755)
                make_folder(folder, 0o755)
                self._said(
                    f"The servers keep their data in {folder}: {name} cannot enter {home.path}"
                )
                return folder
        return home.path

    async def _stop(self) -> None:
        try:
            await together(
                *(server.stop() for server in (self.broker, self.database) if server is not None)
            )
        finally:
            # Only now: until the last process is gone nobody else may start here.
            self._held.close()
