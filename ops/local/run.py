"""`penstock up`: everything on this machine, a story told, then kept running until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from ops import console_tokens
from ops.console_tokens import Role
from ops.database import connected
from ops.local.hints import callout_command
from ops.local.processes import children, local_environment
from ops.local.rehearsal import Rehearsal
from ops.local.report import Report
from ops.local.target import SampleTarget
from ops.local.watch import tell_of_enrollments
from ops.stack import LocalStack, Supervisor
from ops.stack.ports import free_port
from pipeline.database import migrate

if TYPE_CHECKING:
    from ops.console_tokens import NewToken
    from ops.runtime import Runtime
    from pipeline.settings import Settings

# Whose token the printed link holds; the one that an earlier run printed is revoked.
_LOCAL_NAME: Final = "local"
_STOPPED: Final = (signal.SIGINT, signal.SIGTERM)


async def run_local(runtime: Runtime, *, once: bool, seed: int | None) -> None:
    """Bring everything up, play the sample org's story, and stay up unless `once`.

    SIGINT and SIGTERM end it in order, wherever it is: processes drain, then the servers stop.

    Raises:
        StackError: a server or a process did not come up.
        OpsError: the story did not end as it should.
    """
    report = Report()
    work = asyncio.create_task(_run(runtime, report, once=once, seed=seed))
    loop = asyncio.get_running_loop()
    for number in _STOPPED:
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        report.say("Stopped; nothing is left running.")
    finally:
        for number in _STOPPED:
            loop.remove_signal_handler(number)


async def _run(runtime: Runtime, report: Report, *, once: bool, seed: int | None) -> None:
    started = time.monotonic()
    folder = Path.cwd()
    environment = runtime.environment()
    settings = runtime.settings_of(environment)
    stack = LocalStack(
        folder,
        said=report.say,
        broker=not settings.broker.url,
        database=not settings.database.url,
    )
    async with AsyncExitStack() as running:
        report.say("Starting RabbitMQ and PostgreSQL …")
        await running.enter_async_context(stack)
        target = await running.enter_async_context(SampleTarget(free_port()))
        environment = {**environment, **stack.environment}
        chosen = local_environment(environment, settings, target, report.say)
        settings = runtime.settings_of(chosen)
        connection = await running.enter_async_context(connected(settings.database.url))
        await migrate(
            connection,
            retention_days=settings.database.retention_days,
            now_ms=time.time_ns() // 1_000_000,
        )
        session = await running.enter_async_context(aiohttp.ClientSession())
        supervisor = Supervisor(report.say)
        running.push_async_callback(supervisor.stop)
        await supervisor.start(*children(chosen, settings, folder / ".penstock", session))
        report.say(
            f"Ingest, a worker, the relay and the console are up after"
            f" {time.monotonic() - started:.1f} s"
        )
        rehearsal = Rehearsal(
            f"http://127.0.0.1:{settings.ingest.port}",
            connection,
            session,
            int(time.time()) if seed is None else seed,
            settings.secrets.ring(),
        )
        shown_id = await _play(rehearsal, report)
        if not once:
            token = await console_tokens.renew(connection, _LOCAL_NAME, Role.OPERATE)
            _say_what_next(rehearsal, settings, report, shown_id, token)
            await tell_of_enrollments(settings.database.url, report)
    report.say("Stopped; nothing is left running.")


async def _play(rehearsal: Rehearsal, report: Report) -> int:
    """Play and report the story; return the id of an enrolment that it showed."""
    await rehearsal.connect()
    applied = await rehearsal.apply_rules()
    names = ", ".join(rule.rule for rule in applied)
    report.say(f"Sample org {rehearsal.org.org_id} (seed {rehearsal.org.seed}) is connected")
    report.say(f"Rules: {names}\n")
    played = await rehearsal.play()
    report.story(played)
    shown = [
        one.explanation.id for part in played for told in part.enrolled.values() for one in told
    ]
    return max(shown, default=1)


def _say_what_next(
    rehearsal: Rehearsal, settings: Settings, report: Report, shown_id: int, token: NewToken
) -> None:
    address = f"http://{settings.console.host}:{settings.console.port}"
    report.say("\nIt stays up until Ctrl-C. The console, signed in:\n")
    # After a # it stays in the browser, which sends it in the form alone.
    report.say(f"  {address}/sign-in#{token.token}\n")
    report.say("In another terminal, in this folder, try:\n")
    report.say("  .venv/bin/penstock enrollments list")
    report.say(f"  .venv/bin/penstock explain {shown_id}")
    report.say("  .venv/bin/penstock rules list\n")
    report.say("or send a callout of your own, which enrols you (needs curl) and shows up here:\n")
    report.say(callout_command(rehearsal.org.org_id, rehearsal.secret, settings.ingest.port))
