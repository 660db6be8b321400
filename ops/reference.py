"""The reference: commands, settings, metrics, tables, roles, written from the code that has them.

`make docs` writes it to `deploy/reference.md`; a test sees that it was done.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, assert_never

import click
from prometheus_client.metrics import MetricWrapperBase

from ops.__main__ import COMMANDS, cli
from pipeline import metrics
from pipeline.database.access import Role, privileges
from pipeline.settings import FILE, listing
from workers.upkeep import RULES, Cleared, ClearedElsewhere, Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """\
# Reference

Commands, settings, metrics and what becomes of each table's rows, as the code defines them
(`make docs` writes this page).
"""
_SETTINGS_HEAD: Final = """
## Settings

Environment variables. A misspelt name or a wrong value stops a process at its start, with exit code
2 and a line that names it. What is secret may stand in a file instead, which is read at the start:
`PENSTOCK_DATABASE__URL_FILE` names the one that holds `PENSTOCK_DATABASE__URL`.

| variable | default | meaning |
|---|---|---|
"""
_METRICS_HEAD: Final = """
## Metrics

On `/metrics` of each process's admin port, in Prometheus' text format.

| metric | kind | labels | meaning |
|---|---|---|---|
"""
_TABLES_HEAD: Final = """
## Tables

What becomes of each table's rows. Workers clear away every hour, a page at a time. "The history" is
`PENSTOCK_DATABASE__RETENTION_DAYS`, and what of a week's partition is older.

| table | rows go | because |
|---|---|---|
"""

_ROLES_HEAD: Final = """
## Database roles

What `penstock migrate` grants to each role that exists; the owner of the tables may do everything.

"""


def reference() -> str:
    """Return the whole page as Markdown."""
    parts = (
        _HEAD,
        *_commands(),
        _SETTINGS_HEAD,
        *_settings(),
        _METRICS_HEAD,
        *_metrics(),
        _TABLES_HEAD,
        *_tables(),
        *_roles(),
    )
    return "".join(parts)


def _roles() -> Iterator[str]:
    columns = {role: privileges(role) for role in Role}
    yield _ROLES_HEAD
    yield f"| table | {' | '.join(f'`{role}`' for role in Role)} |\n|---{'|---' * len(Role)}|\n"
    for table in sorted(RULES):
        cells = (columns[role][table] or "nothing" for role in Role)
        yield f"| `{table}` | {' | '.join(cells)} |\n"


def _tables() -> Iterator[str]:
    for table, rule in sorted(RULES.items()):
        match rule:
            case Kept(because):
                when = "never"
            case Cleared(because, by, None):
                when = f"by `{by}`, with the history"
            case Cleared(because, by, hours):
                when = f"by `{by}`, after {hours} hours"
            case ClearedElsewhere(when, because):
                pass
            case _:
                assert_never(rule)
        yield f"| `{table}` | {when} | {because} |\n"


def _commands() -> Iterator[str]:
    yield "\n## Commands\n\nExit codes: 0 done, 1 failed, 2 called or configured wrongly.\n"
    context = click.Context(cli, info_name="penstock")
    for name in COMMANDS:
        if command := cli.get_command(context, name):
            yield from _command(command, click.Context(command, context, info_name=name))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            yield from _page(command, context)
        for name, child in command.commands.items():
            yield from _command(child, click.Context(child, context, info_name=name))
    else:
        yield from _page(command, context)


def _page(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n### `{context.command_path} {usage}`\n\n{command.help}\n"
    options = [
        record
        for param in command.params
        if isinstance(param, click.Option) and (record := param.get_help_record(context))
    ]
    if options:
        yield "\n| option | meaning |\n|---|---|\n"
        yield from (f"| `{_cell(option)}` | {_cell(meaning)} |\n" for option, meaning in options)


def _settings() -> Iterator[str]:
    for setting in listing():
        default = f"`{setting.default}`" if setting.default else ""
        or_file = f", or `…{FILE}`" if setting.is_secret else ""
        yield f"| `{setting.variable}`{or_file} | {default} | {_cell(setting.meaning)} |\n"


def _metrics() -> Iterator[str]:
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(metric._labelnames)  # noqa: SLF001  the library shows them nowhere else
            yield f"| `{name}` | {family.type} | {labels} | {_cell(family.documentation)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
