"""`penstock ingest`, `penstock worker`: long-running processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import uvloop

from ingest import service as ingest_service
from ops.runtime import Runtime, pass_runtime
from ops.stack.home import BROKER_URL, DATABASE_URL
from pipeline import lifecycle, logs
from pipeline.objects import SObject
from workers import service as worker_service

if TYPE_CHECKING:
    from collections.abc import Coroutine


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
@pass_runtime
def worker(runtime: Runtime, objects: tuple[str, ...]) -> None:
    """Consume changes: dedupe, persist, evaluate rules, enrol."""
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    logs.configure(settings.log, process="worker")
    wanted = [sobject for sobject in SObject if not objects or sobject.lower() in objects]
    serve(worker_service.run(settings, wanted))
