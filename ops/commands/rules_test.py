"""`penstock rules test`."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

import click
from rich.console import Console
from rich.progress import Progress

from ops import orgs
from ops.commands.since import Time, now_ms
from ops.commands.trial_lines import trial_lines
from ops.errors import OpsError, WrongUsage
from ops.rule_trial import read_documents, try_rules
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.rule_trial import Trial, Tried
    from ops.rule_trial.trial import Progress as Reading

MAX_SAMPLE_COUNT: Final = 1_000


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option(
    "--since",
    default="7d",
    show_default=True,
    type=Time(),
    help="How far back: 90m, 24h, 7d, or a time such as 2026-05-01T12:00:00Z.",
)
@click.option("--until", type=Time(), help="The same; default: now.")
@click.option("--org", "org_id", help="The org; may be left out while there is one.")
@click.option(
    "--sample",
    "sample_count",
    default=5,
    show_default=True,
    type=click.IntRange(0, MAX_SAMPLE_COUNT),
    help="How many matches to show of each rule.",
)
@as_json
@pass_runtime
def test(  # noqa: PLR0913  one parameter for each argument of the command
    runtime: Runtime,
    files: tuple[TextIO, ...],
    since: int,
    until: int | None,
    org_id: str | None,
    *,
    sample_count: int,
    json: bool,
) -> None:
    """Say what the rules in FILES (- is standard input) would have done; do nothing."""
    until = now_ms() if until is None else until
    if since >= until:
        raise WrongUsage("--since has to be before --until")
    tried = read_documents(_read(file) for file in files)
    found = run(
        _test(runtime, org_id, tried, since_ms=since, until_ms=until, sample_count=sample_count)
    )
    if json:
        print_json(found)
        return
    for line in trial_lines(found):
        click.echo(printable(line))


def _read(file: TextIO) -> tuple[str, str]:
    try:
        return file.name, file.read()
    except UnicodeDecodeError as error:
        raise OpsError(f"{file.name} is not UTF-8: {error.reason} at byte {error.start}") from None


@contextlib.contextmanager
def _progress() -> Iterator[Reading | None]:
    """Yield what shows the progress: a bar, if a person sees it, or None."""
    if not sys.stderr.isatty():
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading history", total=None)
        yield lambda done, expected: bar.update(task, completed=done, total=max(done, expected))


async def _test(
    runtime: Runtime,
    org_id: str | None,
    tried: Tried,
    **choices: Any,
) -> Trial:
    async with runtime.database() as reading, runtime.database() as asking:
        org_id = await orgs.resolve(asking, org_id)
        with _progress() as progress:
            return await try_rules(reading, asking, org_id, tried, progress=progress, **choices)
