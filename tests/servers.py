"""Private servers for the test suite, and how tests look at processes.

The servers run on an event loop in a thread of its own, so that they live through the whole session
whatever loop each test has, and so that fixtures can be plain functions.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import http.client
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import aio_pika
import asyncpg

from pipeline.database import migrate
from pipeline.database.access import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from ops.stack import PrivateRabbitMQ

_CALL_TIMEOUT_S: Final = 120.0
_KEPT: Final = "kept"
# What is made in them has a name of its own.
_DISK: Final = Path("/tmp")  # noqa: S108  as said
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  as said
_ENOUGH_BYTES: Final = 4 * 2**30
_PREFIX: Final = "penstock-test-"
_MADE_AND_LOCKED_S: Final = 10.0
_POLL_S: Final = 0.02
_HTTP_TIMEOUT_S: Final = 30.0
Result = TypeVar("Result")


def roomy() -> Path:
    """Return where files are made fastest: in memory, where there is enough for servers' data.

    A database is six hundred files, and nearly every test has one of its own.
    """
    return _MEMORY if _free_bytes(_MEMORY) >= _ENOUGH_BYTES else _DISK


def _free_bytes(place: Path) -> int:
    return shutil.disk_usage(place).free if place.is_dir() else 0


@contextlib.contextmanager
def open_folder(place: Path = _DISK) -> Iterator[Path]:
    """Give a new folder that every user may enter, as tmp_path is not, and remove it afterwards.

    So are those that sessions left which were killed: nobody holds their lock.
    """
    for left in place.glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    folder.chmod(0o755)
    held = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        if held is not None:
            os.close(held)


def _lock(folder: Path) -> int | None:
    """Lock a folder for as long as the descriptor is open; None if somebody else has."""
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


def _remove_if_left(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        # One that was made a moment ago is about to be locked.
        if time.time() - folder.stat().st_ctime < _MADE_AND_LOCKED_S:
            return
    held = _lock(folder)
    if held is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


class LoopThread:
    """An event loop in its own thread, for servers that outlive a test's loop.

    The kernel ends the servers when the thread ends, so it ends last.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers")
        self._thread.start()

    def run(self, steps: Coroutine[object, object, Result]) -> Result:
        """Run a coroutine on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(steps, self._loop).result(_CALL_TIMEOUT_S)

    def close(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def execute(url: str, statement: str, *arguments: object) -> None:
    """Run one statement on a connection of its own, outside a transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def migrated(url: str) -> None:
    """Bring a database up to date, with what its roles may do in it."""
    connection = await asyncpg.connect(url)
    try:
        for role in Role:
            with contextlib.suppress(asyncpg.DuplicateObjectError):
                await connection.execute(f"CREATE ROLE {role}")
        await migrate(connection, retention_days=90, now_ms=time.time_ns() // 1_000_000)
    finally:
        await connection.close()


async def publish(url: str) -> None:
    """Publish the message `kept` to a durable quorum queue of that name, and have it confirmed."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(_KEPT, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(
            aio_pika.Message(_KEPT.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT), _KEPT
        )


async def fetch(url: str) -> bytes:
    """Take the message that `publish` stored."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(_KEPT)
        message = await queue.get(timeout=10)
        assert message is not None
        await message.ack()
        return message.body


async def keep_queue_names(server: PrivateRabbitMQ) -> None:
    """Have the node write its quorum queues' names to disk now: by itself it takes a second.

    Until then RabbitMQ 3.10 forgets a new quorum queue, and what it confirmed, when it is killed.
    Source: github.com/rabbitmq/ra, pull request 443, which mended it in later releases.
    """
    await server.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")


def database_at(url: str, name: str) -> str:
    """Return `url` with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def new_name(purpose: str) -> str:
    """Return a name that nothing else has: of a database, a virtual host."""
    return f"{purpose}_{secrets.token_hex(6)}"


def manage(management_url: str, method: str, path: str, body: str = "") -> None:
    """Call RabbitMQ's management API (`PUT /api/vhosts/x`); anything but success is an error."""
    address = urlsplit(management_url)
    token = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=_HTTP_TIMEOUT_S
    )
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        assert answer.status < http.client.BAD_REQUEST, (method, path, answer.read())
        answer.read()
    finally:
        connection.close()


async def until(holds: Callable[[], bool], timeout_s: float = 30) -> None:
    """Return once `holds()` is true, asked again and again; TimeoutError when it stays false."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  other processes set no event of ours
            await asyncio.sleep(_POLL_S)


def processes_in(folder: Path) -> dict[int, str]:
    """Return the processes that work in `folder` or were told of it: command by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            told = str(folder).encode() in (entry / "environ").read_bytes()
            works_there = (entry / "cwd").readlink().is_relative_to(folder)
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # Ended while it was looked at, or another user's and so none of ours.
            continue
        if told or works_there:
            found[int(entry.name)] = command
    return found
