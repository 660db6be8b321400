"""What is measured, started as its users start it: Penstock, and the same job done otherwise."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from ops.sample.records import DEFAULT_ORG_ID
from ops.stack.ports import free_port
from pipeline.signing import new_secret
from tests.benchmarks import mixed
from tests.benchmarks.callouts import Shape
from tests.processes import PenstockProcesses
from tests.salesforce import RULE, Salesforce
from tests.servers import migrated, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.site import Corner

_STOP_TIMEOUT_S: Final = 20.0


class System(StrEnum):
    """Who does the job."""

    PENSTOCK = "Penstock"
    FASTSTREAM = "FastStream"
    TASKIQ = "taskiq"


class Running(NamedTuple):
    """A system that takes callouts."""

    port: int
    secret: str
    pids: Mapping[str, int]


ALTERNATIVES: Final = (System.FASTSTREAM, System.TASKIQ)
_FOLDER: Final = "tests.benchmarks.alternatives"
_EDGES: Final[Mapping[System, Sequence[str]]] = {
    System.FASTSTREAM: ("-m", f"{_FOLDER}.faststream_edge"),
    System.TASKIQ: ("-m", f"{_FOLDER}.taskiq_edge"),
}
# One process each, as Penstock has one; taskiq's parent does no work.
_WORKERS: Final[Mapping[System, Sequence[str]]] = {
    System.FASTSTREAM: ("-m", f"{_FOLDER}.faststream_worker"),
    System.TASKIQ: (
        *("-m", "taskiq", "worker", f"{_FOLDER}.taskiq_broker:broker"),
        *("--workers", "1", "--max-async-tasks", "50", "--ack-type", "when_executed"),
        *("--log-level", "WARNING"),
    ),
}


@asynccontextmanager
async def open_system(system: System, corner: Corner, shape: Shape) -> AsyncIterator[Running]:
    """Start one edge and one worker; end them afterwards."""
    if system is System.PENSTOCK:
        async with open_penstock(corner) as processes:
            ingest = await processes.start_ingest()
            secret = await connect(processes, shape)
            worker = await processes.start_worker()
            port = int(processes.ingest_url.rpartition(":")[2])
            yield Running(port, secret, {"ingest": ingest.pid, "worker": worker.pid})
        return
    await _make_schema(corner.database_url)
    port, secret = free_port(), new_secret()
    environment = {
        "BENCH_BROKER_URL": corner.broker_url,
        "BENCH_DATABASE_URL": corner.database_url,
        "BENCH_PORT": str(port),
        "BENCH_SECRET": secret,
    }
    async with (
        open_process(corner.folder, "ingest", _EDGES[system], environment) as edge_pid,
        open_process(corner.folder, "worker", _WORKERS[system], environment) as worker_pid,
    ):
        yield Running(port, secret, {"ingest": edge_pid, "worker": worker_pid})


@asynccontextmanager
async def open_penstock(corner: Corner) -> AsyncIterator[PenstockProcesses]:
    """Make Penstock's tables; what is started ends afterwards."""
    await migrated(corner.database_url)
    environment = {
        "PENSTOCK_BROKER__URL": corner.broker_url,
        "PENSTOCK_DATABASE__URL": corner.database_url,
        "PENSTOCK_LOG__FORMAT": "json",
        # The sender is one org that keeps to no bound; the alternatives refuse nobody either.
        "PENSTOCK_INGEST__BACKLOG_S": "0",
    }
    async with PenstockProcesses(environment, corner.folder) as processes:
        yield processes


async def connect(processes: PenstockProcesses, shape: Shape) -> str:
    """Connect the sample org to a running ingest, with the shape's rules; return its secret."""
    rules = mixed.rules() if shape is Shape.MIXED else RULE
    return (await Salesforce.connect(processes, DEFAULT_ORG_ID, rules)).secret


@asynccontextmanager
async def open_process(
    folder: Path, role: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[int]:
    """Start a Python process that says by a file when it can work; yield its process id."""
    ready = folder / f"{role}.ready"
    with (folder / f"{role}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={**os.environ, **environment, "BENCH_READY_FILE": str(ready)},
            stdout=log,
            stderr=log,
        )
    try:
        await until(lambda: ready.exists() or process.returncode is not None)
        if process.returncode is not None:
            raise RuntimeError((folder / f"{role}.log").read_text())
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()


async def _make_schema(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(files(_FOLDER).joinpath("schema.sql").read_text())
    finally:
        await connection.close()
