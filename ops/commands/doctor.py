"""`penstock doctor`: what is wrong, in words, and the command that mends it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from ops.commands.lines import folded
from ops.doctor import Finding, State, examine
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLES: Final = {
    State.FINE: ("✓", "green"),
    State.WRONG: ("✗", "red"),
    State.UNKNOWN: ("?", "yellow"),
    State.SKIPPED: ("-", "yellow"),
}
_INDENT: Final = 2


@click.command()
@as_json
@pass_runtime
def doctor(runtime: Runtime, *, json: bool) -> None:
    """Look at everything Penstock stands on; say what is wrong and how to mend it.

    Reads only. Exit code 1 when something is wrong or could not be looked at.
    """
    findings = _examine(runtime)
    if json:
        print_json(findings)
    else:
        _print(findings)
    if any(one.state in {State.WRONG, State.UNKNOWN} for one in findings):
        raise SystemExit(1)


def _examine(runtime: Runtime) -> list[Finding]:
    try:
        settings = runtime.settings()
    except SettingsError as error:
        mend = "deploy/reference.md lists every setting; nothing else was looked at"
        return [Finding("settings", State.WRONG, str(error), mend)]
    told = "every setting that is set here exists and fits"
    return [Finding("settings", State.FINE, told), *run(examine(settings))]


def _print(findings: Sequence[Finding]) -> None:
    for one in findings:
        mark, colour = _STYLES[one.state]
        line, *rest = folded(printable(f"{one.check}: {one.told}"), 0)
        click.echo(f"{click.style(mark, fg=colour, bold=True)} {line}")
        for more in rest:
            click.echo(" " * _INDENT + more)
        if one.mend is not None:
            for more in folded(printable(f"→ {one.mend}"), 2 * _INDENT):
                click.echo(click.style(more, bold=one.state is State.WRONG))
    counts = Counter(one.state for one in findings)
    parts = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    click.echo(f"\n{', '.join(parts)}")
