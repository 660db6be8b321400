"""Reading the tree from the environment."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, get_args

import msgspec

from pipeline.settings.console import check_console
from pipeline.settings.files import with_files
from pipeline.settings.ingest import check_ingest
from pipeline.settings.kinds import PREFIX, Secret, SettingsError, named
from pipeline.settings.relay import check_relay
from pipeline.settings.secrets import check_secrets
from pipeline.settings.servers import check_servers, with_tls
from pipeline.settings.tree import Settings, hints, listing
from pipeline.settings.worker import check_worker

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables, and secrets from the files that they name.

    Raises:
        SettingsError: a variable is misspelt or its value does not fit; names the variable.
    """
    settable = tuple(listing())
    known = {setting.variable for setting in settable}
    given = with_files(environ, [setting.variable for setting in settable if setting.is_secret])
    tree: dict[str, dict[str, object]] = {}
    for variable, text in sorted(given.items()):
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{variable} is not a setting{hint}")
        section, _, name = variable.removeprefix(PREFIX).lower().partition("__")
        tree.setdefault(section, {})[name] = text
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        section, _, name = place.rstrip("`").partition(".")
        raise SettingsError(f"{named(section, name)}: {_told(problem, section, name)}") from None
    check_servers(settings.broker, settings.database)
    check_ingest(settings.ingest)
    check_worker(settings.worker)
    check_relay(settings.relay)
    check_console(settings.console)
    check_secrets(settings.secrets)
    broker, database = with_tls(settings.broker, settings.database)
    return msgspec.structs.replace(settings, broker=broker, database=database)


def require(settings: Settings, *variables: str) -> None:
    """Stop unless each of `variables` has a value.

    Raises:
        SettingsError: one is not set; names it and what it means.
    """
    for setting in listing():
        if setting.variable in variables:
            section, _, name = setting.variable.removeprefix(PREFIX).lower().partition("__")
            if not getattr(getattr(settings, section), name):
                raise SettingsError(f"{setting.variable} is not set ({setting.meaning})")


def _told(problem: str, section: str, name: str) -> str:
    """Return msgspec's words for a wrong value, with the choices where there are choices."""
    choices = get_args(get_args(hints(getattr(Settings(), section))[name])[0])
    return f"{problem}, expected {' or '.join(choices)}" if choices else problem


def _decode(expected: type, value: object) -> object:
    if expected is Secret:
        return Secret(str(value))
    raise NotImplementedError(expected)
