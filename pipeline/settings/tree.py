"""The whole tree, and the list of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import field

from pipeline.settings.console import Console
from pipeline.settings.ingest import Ingest
from pipeline.settings.kinds import Secret, named
from pipeline.settings.log import Log
from pipeline.settings.relay import Relay
from pipeline.settings.secrets import Secrets
from pipeline.settings.servers import Broker, Database
from pipeline.settings.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    broker: Broker = field(default_factory=Broker)
    database: Database = field(default_factory=Database)
    ingest: Ingest = field(default_factory=Ingest)
    worker: Worker = field(default_factory=Worker)
    relay: Relay = field(default_factory=Relay)
    console: Console = field(default_factory=Console)
    secrets: Secrets = field(default_factory=Secrets)
    log: Log = field(default_factory=Log)


class Setting(msgspec.Struct, frozen=True):
    """One setting: its variable, default and meaning, and whether no log may show it."""

    variable: str
    default: str
    meaning: str
    is_secret: bool


def listing() -> Iterator[Setting]:
    """Yield every setting in the order of the tree."""
    defaults = Settings()
    for section in msgspec.structs.fields(Settings):
        group = getattr(defaults, section.name)
        annotations = hints(group)
        for leaf in msgspec.structs.fields(group):
            value = getattr(group, leaf.name)
            metadata = getattr(annotations[leaf.name], "__metadata__", ())
            meaning = " ".join(m.description for m in metadata if m.description)
            is_secret = isinstance(value, Secret)
            shown = value.value if isinstance(value, Secret) else str(value)
            yield Setting(named(section.name, leaf.name), shown, meaning, is_secret)


def hints(group: msgspec.Struct) -> dict[str, Any]:
    """Return the annotations of a section's settings, resolved."""
    return get_type_hints(type(group), include_extras=True)
