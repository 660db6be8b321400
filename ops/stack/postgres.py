"""A private PostgreSQL: a cluster of its own in one folder, on a port of its own.

Another one may be its standby: a copy of it that streams from it and takes no changes.

Layout of the folder: `server.json` (port, password), `postgres.log`, `data/` (the cluster, owned by
the user that the server runs as).

Source: PostgreSQL documentation, "initdb", "Shutting Down the Server", "Connections and
Authentication", "pg_basebackup", "Log-Shipping Standby Servers".
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING, Final

import asyncpg

from ops.stack import programs
from ops.stack.accounts import Account, can_reach, make_folder, service_account, write_secret
from ops.stack.children import Child, Supervised, outlast_predecessor
from ops.stack.errors import StackError
from ops.stack.processes import children_of, run
from ops.stack.remembered import Remembered, remember

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ops.stack.children import Said

USER: Final = "penstock"
DATABASE: Final = "penstock"
STANDBY: Final = "standby"
SERVICE_USER: Final = "postgres"
_MAX_CONNECTIONS: Final = 100
_INITDB_TIMEOUT_S: Final = 120.0
_PROBE_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 30.0


class PrivatePostgres:
    """PostgreSQL in `folder`, on 127.0.0.1 alone; port and password stay the same across starts.

    With `said` the server is started again when it dies, and that is said; without, a killed one
    stays down until `start`. fsync is on: what is committed survives a crash of the machine;
    `settings` (server settings by name) may give that up. With `primary`, started before, it
    begins as that one's standby, of which `STANDBY` is the name, with its user and password.
    """

    def __init__(
        self,
        folder: Path,
        said: Said | None = None,
        settings: Mapping[str, str] | None = None,
        primary: PrivatePostgres | None = None,
    ) -> None:
        self._primary = primary
        self._folder = folder
        self._settings = dict(settings or {})
        self._said = said
        self._log_path = folder / "postgres.log"
        self._server: Supervised | None = None
        self._remembered: Remembered | None = None

    @property
    def url(self) -> str:
        """`postgresql://` URL of the database, password included. Known from `start` on."""
        return self._url_of(DATABASE)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, if it runs."""
        return self._server.pid if self._server is not None else None

    async def start(self) -> None:
        """Start the server, making the cluster first if there is none; return once it answers.

        Raises:
            StackError: PostgreSQL is missing, its user cannot enter the folder, or it failed.
        """
        make_folder(self._folder, 0o755)
        account = await _account_reaching(self._folder)
        await self.stop()
        await outlast_predecessor(self._log_path, _STOP_TIMEOUT_S)
        self._remembered = self._remember()
        executable = await self._prepare_cluster(account)
        self._server = Supervised(self._child(executable, account), self._said)
        try:
            await self._server.start()
            await self._make_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server by a fast shutdown: sessions are broken off, everything is written."""
        if self._server is not None:
            await self._server.stop()

    async def kill(self) -> None:
        """SIGKILL the server, postmaster and sessions, as a crash of the machine would."""
        if self._server is None or self.pid is None:
            return
        sessions = children_of(self.pid)
        await self._server.kill()
        # Sessions end by themselves, but only when idle; a new server has to wait for them all.
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _remember(self) -> Remembered:
        path = self._folder / "server.json"
        if self._primary is None:
            return remember(path, ["sql"], ["password"])
        shared = self._primary._known()  # noqa: SLF001  another of this very class
        return Remembered(remember(path, ["sql"], []).ports, shared.secrets)

    def _known(self) -> Remembered:
        if self._remembered is None:
            raise StackError("the private PostgreSQL has not been started")
        return self._remembered

    def _url_of(self, database: str) -> str:
        known = self._known()
        password, port = known.secrets["password"], known.ports["sql"]
        # Without sslmode a client looks for certificates in the home folder of whoever runs it.
        authority = f"{USER}:{password}@127.0.0.1:{port}"
        return f"postgresql://{authority}/{database}?sslmode=disable"

    def _child(self, executable: Path, account: Account | None) -> Child:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._known().ports["sql"],
            "unix_socket_directories": "",
            "max_connections": _MAX_CONNECTIONS,
            "track_commit_timestamp": "on",
            # The details of errors quote rows.
            "log_error_verbosity": "terse",
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Child(
            name="PostgreSQL",
            argv=[str(executable), "-D", str(self._folder / "data"), *options],
            env=_ENVIRONMENT,
            log_path=self._log_path,
            ready=self._answers,
            account=account,
            stop_signal=signal.SIGINT,
            stop_timeout_s=_STOP_TIMEOUT_S,
        )

    async def _prepare_cluster(self, account: Account | None) -> Path:
        cluster = self._folder / "data"
        if cluster.exists():
            make_folder(cluster, 0o700, account)
            major = int((cluster / "PG_VERSION").read_text())
            return (await programs.postgres(major)).postgres
        found = await programs.postgres()
        unfinished = self._folder / "data.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        make_folder(unfinished, 0o700, account)
        if self._primary is None:
            await self._initialise(unfinished, found, account)
        else:
            await self._copy(self._primary, unfinished, found, account)
        unfinished.rename(cluster)
        return found.postgres

    async def _copy(
        self,
        primary: PrivatePostgres,
        folder: Path,
        found: programs.PostgresPrograms,
        account: Account | None,
    ) -> None:
        """Copy a primary that runs. The copy streams from it; a slot keeps what it needs."""
        known = primary._known()
        server = f"host=127.0.0.1 port={known.ports['sql']} user={USER} sslmode=disable"
        await run(
            [
                str(found.basebackup),
                f"--pgdata={folder}",
                f"--dbname={server} application_name={STANDBY}",
                "--checkpoint=fast",
                "--create-slot",
                f"--slot={STANDBY}",
                "--write-recovery-conf",
            ],
            # In the environment, whence it gets into the copy's configuration, and never in a list
            # of processes.
            env={**_ENVIRONMENT, "PGPASSWORD": known.secrets["password"]},
            log_path=self._log_path,
            cwd=self._folder,
            account=account,
            timeout_s=_INITDB_TIMEOUT_S,
        )

    async def _initialise(
        self, folder: Path, found: programs.PostgresPrograms, account: Account | None
    ) -> None:
        password_path = self._folder / "password"
        write_secret(password_path, self._known().secrets["password"], account)
        try:
            await run(
                [
                    str(found.initdb),
                    f"--pgdata={folder}",
                    f"--username={USER}",
                    f"--pwfile={password_path}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ],
                env=_ENVIRONMENT,
                log_path=self._log_path,
                cwd=self._folder,
                account=account,
                timeout_s=_INITDB_TIMEOUT_S,
            )
        finally:
            password_path.unlink()

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self._url_of("postgres"), timeout=_PROBE_TIMEOUT_S)
        except asyncpg.TooManyConnectionsError:
            # It answers, and others were quicker.
            return True
        except (
            ConnectionError,
            TimeoutError,
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
        ):
            # Not listening yet, or listening and still starting up.
            return False
        await connection.close()
        return True

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self._url_of("postgres"))
        try:
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
            ):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()


# Nothing is inherited: PGPORT, PGDATA and their like of the operator mean another server.
_ENVIRONMENT: Final = {"PATH": programs.program_path(), "LANG": "C.UTF-8", "TZ": "UTC"}


async def _account_reaching(folder: Path) -> Account | None:
    account = service_account(SERVICE_USER)
    if account is None and os.geteuid() == 0:
        raise StackError("PostgreSQL refuses to run as root: sudo useradd --system postgres")
    if not await can_reach(account, folder):
        raise StackError(f"the user {SERVICE_USER} cannot enter {folder}")
    return account
