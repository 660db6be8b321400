"""Every setting: one tree of frozen structs, read once from the environment at start.

`PENSTOCK_INGEST__PORT` is `settings.ingest.port`: the prefix, then the path with double
underscores. A name that does not exist, or a value that does not fit, stops the process.
Each section stands in a file of its own, with what it refuses.
"""

from pipeline.settings.console import Console
from pipeline.settings.files import FILE
from pipeline.settings.ingest import Ingest
from pipeline.settings.kinds import LOOPBACK, PREFIX, Secret, SettingsError
from pipeline.settings.load import load, require
from pipeline.settings.log import Log
from pipeline.settings.relay import Relay
from pipeline.settings.secrets import Secrets
from pipeline.settings.servers import Broker, Database
from pipeline.settings.tree import Setting, Settings, listing
from pipeline.settings.worker import MAX_PREFETCH_COUNT, Worker

__all__ = [
    "FILE",
    "LOOPBACK",
    "MAX_PREFETCH_COUNT",
    "PREFIX",
    "Broker",
    "Console",
    "Database",
    "Ingest",
    "Log",
    "Relay",
    "Secret",
    "Secrets",
    "Setting",
    "Settings",
    "SettingsError",
    "Worker",
    "listing",
    "load",
    "require",
]
