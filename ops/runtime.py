"""What every command stands on: the settings, found once, and answers in one form."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.database import connected
from ops.stack.home import BROKER_URL, DATABASE_URL
from pipeline import json_text
from pipeline.settings import SettingsError, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from pipeline.database import Connection
    from pipeline.settings import Settings

T = TypeVar("T")

_PIPED_WIDTH = 240


class Runtime:
    """Passed to every command: reads the settings when a command first needs them."""

    def __init__(
        self, environment: Callable[[], Mapping[str, str]], load: Callable[..., Settings]
    ) -> None:
        self._environment = environment
        self._load = load

    def environment(self) -> Mapping[str, str]:
        """Return the environment, with the URLs of a local stack that runs in this folder."""
        return self._environment()

    def settings(self, *required: str, over: Mapping[str, str] | None = None) -> Settings:
        """Return the settings, `over` before the environment's; stop unless `required` are set.

        Raises:
            SettingsError: one is misspelt, wrong or missing; names it.
        """
        settings = self.settings_of({**self._environment(), **(over or {})})
        try:
            require(settings, *required)
        except SettingsError as error:
            if str(error).startswith((BROKER_URL, DATABASE_URL)):
                hint = "and no local stack runs in this folder: `make run` starts one"
                raise SettingsError(f"{error}, {hint}") from None
            raise
        return settings

    def settings_of(self, environment: Mapping[str, str]) -> Settings:
        """Return the settings in another environment than this process's.

        Raises:
            SettingsError: one is misspelt or wrong; names it.
        """
        return self._load(environment)

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """Yield a connection to the database."""
        async with connected(self.settings(DATABASE_URL).database.url) as connection:
            yield connection


pass_runtime = click.make_pass_decorator(Runtime)
as_json = click.option("--json", "json", is_flag=True, help="Print one JSON document.")
# What PostgreSQL's bigint and integer hold.
ROW_ID = click.IntRange(1, 2**63 - 1)
VERSION = click.IntRange(1, 2**31 - 1)
limit_option = click.option(
    "--limit", default=10_000, show_default=True, type=ROW_ID, help="Most rows."
)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one command's work to its end."""
    return asyncio.run(work)


def print_json(document: object) -> None:
    """Print one JSON document: UTF-8, numbers and texts as they were stored."""
    # Masked meanwhile, since msgspec refuses an escape that names half of a surrogate pair.
    masked = json_text.mask(msgspec.json.encode(document))
    text = json_text.unmask(msgspec.json.format(masked, indent=2))
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()


def printable(text: str) -> str:
    r"""Return text that any terminal shows: what does not print is escaped, as `\x1b` is."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def print_table(rows: Sequence[msgspec.Struct], columns: Sequence[str], *, empty: str) -> None:
    """Print some fields of some structs as a table, or say that there is nothing."""
    # Whoever pipes a table into another program wants its lines whole.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    if not rows:
        console.print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        # What comes from records is text, never markup.
        table.add_row(*(Text(_cell(getattr(row, column))) for column in columns))
    console.print(table)


def _cell(value: object) -> str:
    return "" if value is None else printable(str(value))
