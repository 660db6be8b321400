"""`penstock flow`: how the path goes, object by object."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from typing import TYPE_CHECKING, Final

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ops.commands.flow_lines import drain_parts, flow_table, told_lines
from ops.commands.lines import WIDTH
from ops.errors import OpsError
from ops.flow import read_flow, read_queues, workers_needed
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from ops.stack.home import BROKER_URL, DATABASE_URL

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ops.flow import Drain, Flow

_LOOK_EVERY_S: Final = 2.0
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smh])")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """A time span, such as `90s`, `10m` or `2h`, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read what was typed."""
        if isinstance(value, float):
            return value
        if not (duration := _DURATION.fullmatch(str(value))):
            self.fail(f"{value!r} is no duration, such as 90s, 10m or 2h", param, ctx)
        return float(int(duration[1]) * _UNITS_S[duration[2]])


@click.command()
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@click.option(
    "--drain-within",
    "within_s",
    type=Duration(),
    help="Say how many workers each object needs to drain its queue in this time, such as 10m.",
)
@as_json
@pass_runtime
def flow(runtime: Runtime, *, watch: bool, within_s: float | None, json: bool) -> None:
    """Show the path from ingest to target: rates, depths, latency, failures."""
    if json and watch:
        raise click.UsageError("--json prints one document: it excludes --watch")
    if watch:
        # Ctrl-C is how watching ends.
        with contextlib.suppress(KeyboardInterrupt):
            run(_watch(runtime, within_s))
        return
    found, drains = run(_read(runtime, within_s))
    if json:
        drain = {} if within_s is None else {"drain": drains}
        print_json(msgspec.structs.asdict(found) | drain)
        return
    _console().print(_shown(found, drains))


async def _read(runtime: Runtime, within_s: float | None) -> tuple[Flow, list[Drain]]:
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    queues = await read_queues(settings.broker.url)
    async with runtime.database() as connection:
        found = await read_flow(connection, queues)
    return found, [] if within_s is None else workers_needed(found, within_s)


async def _watch(runtime: Runtime, within_s: float | None) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            started = time.monotonic()
            try:
                shown = _shown(*await _read(runtime, within_s))
            except OpsError as error:
                # Whoever watches an outage wants to see its end.
                shown = Text(printable(str(error)), style="bold red")
            live.update(shown, refresh=True)
            await asyncio.sleep(max(0.0, _LOOK_EVERY_S - (time.monotonic() - started)))


def _console() -> Console:
    # Whoever pipes a table into another program wants its lines whole.
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def _shown(found: Flow, drains: list[Drain]) -> RenderableType:
    parts: list[RenderableType] = [flow_table(found), *told_lines(found)]
    if drains:
        parts += drain_parts(drains)
    return Group(*parts)
