from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import asyncpg
import msgspec
import pytest

from ops.stack import Home, LocalStack, StackError, discover
from tests.servers import execute, fetch, keep_queue_names, processes_in, publish, until

REPOSITORY = Path(__file__).parents[4]


async def store(environment: dict[str, str]) -> None:
    await publish(environment["PENSTOCK_BROKER__URL"])
    await execute(environment["PENSTOCK_DATABASE__URL"], "CREATE TABLE kept AS SELECT 1 AS one")


async def assert_stored(environment: dict[str, str]) -> None:
    assert await fetch(environment["PENSTOCK_BROKER__URL"]) == b"kept"
    await execute(environment["PENSTOCK_DATABASE__URL"], "TABLE kept")


async def test_killed_servers_come_back_and_leaving_stops_everything(service_folder: Path) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    async with LocalStack(service_folder, said=said.put_nowait) as stack:
        assert discover(service_folder) == stack.environment
        with pytest.raises(StackError, match=f"already running in .* \\(process {os.getpid()}\\)"):
            await LocalStack(service_folder, said=said.put_nowait).__aenter__()
        assert discover(service_folder) == stack.environment

        await store(stack.environment)
        assert stack.broker is not None
        assert stack.database is not None
        await keep_queue_names(stack.broker)
        for pid in (stack.broker.pid, stack.database.pid):
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            lines = {await said.get(), await said.get()}
        assert {line.partition(" after ")[0] for line in lines} == {
            "RabbitMQ died (signal 9); started again",
            "PostgreSQL died (signal 9); started again",
        }
        await assert_stored(stack.environment)
    assert said.empty()
    assert discover(service_folder) == {}
    assert processes_in(service_folder) == {}


async def test_a_server_whose_url_is_given_is_left_out(service_folder: Path) -> None:
    async with LocalStack(service_folder, said=pytest.fail, broker=False) as stack:
        assert set(stack.environment) == {"PENSTOCK_DATABASE__URL"}
        assert stack.broker is None
    assert not (service_folder / ".penstock" / "rabbitmq").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users that cannot enter its folders")
async def test_servers_live_elsewhere_when_their_user_cannot_enter(service_folder: Path) -> None:
    os.chmod(service_folder, 0o700)  # noqa: PTH101  a local folder, which cannot block
    elsewhere = Home(service_folder).service_folder
    said: list[str] = []
    try:
        async with LocalStack(service_folder, said=said.append, broker=False) as stack:
            assert discover(service_folder) == stack.environment
            connection = await asyncpg.connect(stack.environment["PENSTOCK_DATABASE__URL"])
            folder = await connection.fetchval("SHOW data_directory")
            await connection.close()
        assert Path(folder).is_relative_to(elsewhere)
        assert len(said) == 1
        assert str(elsewhere) in said[0]
        assert mode_of(service_folder) == 0o700
        assert processes_in(elsewhere) == {}
    finally:
        shutil.rmtree(elsewhere)


def owner_of(path: Path) -> str:
    return path.owner()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def unprivileged_python(user: str) -> list[str] | None:
    """A command that runs Python with this project's packages as `user`, if the user can."""
    packages = os.pathsep.join([str(REPOSITORY), *(path for path in sys.path if "site-" in path)])
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    for python in (sys.executable, shutil.which(version, path="/usr/bin:/bin")):
        if python is not None:
            command = [*prefix, "env", f"PYTHONPATH={packages}", python, "-B"]
            if os.system(" ".join([*command, "-c", "'import aio_pika, asyncpg'"])) == 0:  # noqa: S605  words of our own
                return command
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, every test here shows it")
async def test_without_root_the_stack_runs_as_oneself_and_dies_with_its_parent(
    service_folder: Path,
) -> None:
    command = unprivileged_python("postgres")
    if command is None:
        pytest.skip("no Python that the user postgres may run")
    shutil.chown(service_folder, "postgres")
    program = f"""
import asyncio
from pathlib import Path
from ops.stack import LocalStack
async def main():
    async with LocalStack(Path({str(service_folder)!r}), said=print):
        print("up", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *command, "-c", program, cwd="/", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"up\n"
        announced = msgspec.json.decode((service_folder / ".penstock/stack.json").read_bytes())
        await store(announced["environment"])
        owners = {owner_of(Path(f"/proc/{pid}")) for pid in processes_in(service_folder)}
        assert owners == {"postgres"}
    finally:
        process.kill()
        await process.wait()
    assert discover(service_folder) == {}
    await until(lambda: not processes_in(service_folder))
