"""Driving a run in the foreground: a bar on a terminal, plain lines elsewhere, Ctrl-C pauses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ops import bulk_runs
from ops.actions import command_line_actor
from ops.bulk_runs import LEASE_S, BulkRun, RunState
from ops.errors import OpsError
from ops.forget import told_of_wait
from ops.replay.callouts import told_of_gone
from ops.run_kinds import require_rights, work_of
from ops.stack.home import BROKER_URL, DATABASE_URL
from pipeline import logs
from pipeline.database import open_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.runtime import Runtime
    from pipeline.database import Connection
    from pipeline.settings import Settings

    Tell = Callable[[BulkRun, str | None], None]

_LINE_EVERY_S: Final = 5.0
_POLL_S: Final = 0.5


async def drive_in_foreground(settings: Settings, run: BulkRun) -> BulkRun:
    """Drive a run until it is over; the first Ctrl-C or SIGTERM pauses it, the second one kills.

    Raises:
        OpsError: another process drives it, or it failed.
    """
    # Reconnecting is told by what the run is held for.
    quiet = msgspec.structs.replace(settings.log, level="error")
    logs.configure(quiet, process="penstock")
    actor = command_line_actor()
    driver = f"{actor} pid {os.getpid()}"
    pools = open_pool(settings.database, f"penstock run {run.id}")
    with _stop_on_signals() as stop:
        async with pools as pool, work_of(run.kind, settings) as work:
            with _progress(run) as tell:
                driven = await bulk_runs.drive(pool, run.id, work, stop, driver=driver, tell=tell)
            if driven.state is RunState.RUNNING:
                async with pool.acquire() as connection:
                    driven = await bulk_runs.pause(connection, run.id, actor=actor)
    return driven


def counts(run: BulkRun) -> str:
    """Return how far a run is: `1,200 of 40,000 done, 3 skipped`."""
    total = "" if run.total_count is None else f" of {run.total_count:,}"
    parts = [f"{run.done_count:,}{total} done"]
    if run.skipped_count:
        parts.append(f"{run.skipped_count:,} skipped")
    if run.failed_count:
        parts.append(f"{run.failed_count:,} failed")
    if (wait := told_of_wait(run)) is not None:
        parts.append(wait)
    return ", ".join(parts)


def ending(run: BulkRun) -> str:
    """Return how a run ended, or how it goes on."""
    told = f"run {run.id} is {run.state}: {counts(run)}"
    if gone := told_of_gone(run):
        told += f"; {gone}"
    match run.state:
        case RunState.PAUSED | RunState.FAILED:
            return f"{told}; `penstock runs resume {run.id}` goes on"
        case RunState.RUNNING if run.driven_by is None:
            return f"{told}; nobody drives it: `penstock runs resume {run.id}` goes on"
        case RunState.RUNNING:
            return f"{told}; {run.driven_by} drives it"
        case RunState.CANCELLED | RunState.FINISHED:
            return told


async def take_up(runtime: Runtime, run_id: int) -> BulkRun:
    """Go on with a run that nobody drives, as `drive_in_foreground` does.

    Raises:
        OpsError: the user may not; or as `bulk_runs.resume` and `drive_in_foreground`.
    """
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    async with runtime.database() as connection:
        await require_rights(connection, (await bulk_runs.show(connection, run_id)).kind)
        await _wait_for_lease(connection, run_id)
        resumed = await bulk_runs.resume(connection, run_id, actor=command_line_actor())
    return await drive_in_foreground(settings, resumed)


async def _wait_for_lease(connection: Connection, run_id: int) -> None:
    """Return once nobody drives a run: one whose driver died just now keeps its lease a moment.

    Raises:
        OpsError: its driver lives.
    """
    deadline = time.monotonic() + LEASE_S + _POLL_S
    is_told = False
    while (run := await bulk_runs.show(connection, run_id)).driven_by is not None:
        if time.monotonic() > deadline:
            raise OpsError(f"run {run_id} is under way already, driven by {run.driven_by}")
        if not is_told:
            click.echo(f"waiting: {run.driven_by} drove it a moment ago", err=True)
            is_told = True
        await asyncio.sleep(_POLL_S)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def let_go() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        click.echo("pausing after the step under way ...", err=True)
        stop.set()
        let_go()

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        let_go()


@contextlib.contextmanager
def _progress(run: BulkRun) -> Iterator[Tell]:
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(f"run {run.id}", total=run.total_count, told=counts(run))

        def tell(now: BulkRun, held_for: str | None) -> None:
            told = counts(now) if held_for is None else f"holds: {held_for}"
            bar.update(task, completed=now.handled_count, told=told)

        yield tell


def _lines() -> Tell:
    """Return what prints a line every few seconds, for logs and pipes."""
    told_at = time.monotonic()
    was_held = False

    def tell(run: BulkRun, held_for: str | None) -> None:
        nonlocal told_at, was_held
        now = time.monotonic()
        if held_for is not None and not was_held:
            click.echo(f"run {run.id} holds: {held_for}", err=True)
        elif now - told_at >= _LINE_EVERY_S:
            told_at = now
            click.echo(f"run {run.id}: {counts(run)}", err=True)
        was_held = held_for is not None

    return tell
