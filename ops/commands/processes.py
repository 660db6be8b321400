"""`penstock ingest`, `penstock worker`: long-running processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
import uvloop

from ingest import service as ingest_service
from ops.runtime import Runtime, pass_runtime, run
from ops.several import run_several
from ops.stack.home import BROKER_URL, DATABASE_URL
from pipeline import lifecycle, logs
from pipeline.objects import SObject
from pipeline.settings import SettingsError
from workers import service as worker_service

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping, Sequence

    from pipeline.settings import Settings

_PROCESSES: Final = "PENSTOCK_WORKER__PROCESS_COUNT"
_PREFETCH: Final = "PENSTOCK_WORKER__PREFETCH_COUNT"
_BATCH: Final = "PENSTOCK_WORKER__BATCH_COUNT"
_OPTIONS: Final = {_PROCESSES: "--concurrency", _PREFETCH: "--prefetch", _BATCH: "--batch"}
_ADMIN_PORT: Final = "PENSTOCK_WORKER__ADMIN_PORT"


def serve(service: Coroutine[Any, Any, None]) -> None:
    """Run a process to its end; exit code 1 after a failure, which is logged where it happened."""
    lifecycle.rest_collector()
    try:
        uvloop.run(service)
    except ExceptionGroup as failures:
        raise SystemExit(1) from failures


@click.command()
@pass_runtime
def ingest(runtime: Runtime) -> None:
    """Take callouts in: verify, publish, answer once RabbitMQ has confirmed."""
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    logs.configure(settings.log, process="ingest")
    serve(ingest_service.run(settings))


@click.command()
@click.option(
    "--object",
    "objects",
    multiple=True,
    type=click.Choice([sobject.lower() for sobject in SObject], case_sensitive=False),
    help="Consume this object's queue; may be given several times. Default: all.",
)
@click.option(
    "--concurrency", type=int, help="Processes to run; each keeps one core busy. Default: 1."
)
@click.option(
    "--prefetch", type=int, help="Messages a process holds unsettled, 128 (32 MiB) at most."
)
@click.option("--batch", type=int, help="Most changes in one transaction.")
@pass_runtime
def worker(
    runtime: Runtime,
    objects: tuple[str, ...],
    concurrency: int | None,
    prefetch: int | None,
    batch: int | None,
) -> None:
    """Consume changes: dedupe, persist, evaluate rules, enrol."""
    given = {_PROCESSES: concurrency, _PREFETCH: prefetch, _BATCH: batch}
    chosen = {name: str(value) for name, value in given.items() if value is not None}
    environment = {**runtime.environment(), **chosen}
    try:
        settings = runtime.settings(BROKER_URL, DATABASE_URL, over=chosen)
    except SettingsError as error:
        raise SettingsError(_as_typed(str(error), chosen)) from error
    logs.configure(settings.log, process="worker")
    if settings.worker.process_count > 1:
        raise SystemExit(run(_several(environment, settings, objects)))
    wanted = [sobject for sobject in SObject if not objects or sobject.lower() in objects]
    serve(worker_service.run(settings, wanted))


def _as_typed(error: str, chosen: Collection[str]) -> str:
    """Name the option where it is the option that was wrong."""
    for variable in chosen:
        error = error.replace(variable, _OPTIONS[variable])
    return error


async def _several(
    environment: Mapping[str, str], settings: Settings, objects: Sequence[str]
) -> int:
    options = [option for name in objects for option in ("--object", name)]
    port = settings.worker.admin_port
    environments = [
        {**environment, _PROCESSES: "1", _ADMIN_PORT: str(port and port + place)}
        for place in range(settings.worker.process_count)
    ]
    return await run_several([sys.executable, "-m", "ops", "worker", *options], environments)
