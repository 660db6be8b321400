"""Every library module: importing this one fills the registry."""

from tests.apex_runtime.library import (
    assertions,
    base,
    callouts,
    context,
    database,
    encoding,
    events,
    jobs,
    json_reading,
    keyed,
    limits,
    lists,
    moments,
    numbers,
    records,
    strings,
)

__all__ = [
    "assertions",
    "base",
    "callouts",
    "context",
    "database",
    "encoding",
    "events",
    "jobs",
    "json_reading",
    "keyed",
    "limits",
    "lists",
    "moments",
    "numbers",
    "records",
    "strings",
]
