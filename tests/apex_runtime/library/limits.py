"""`Limits` and `OrgLimits`. [apex_methods_system_limits, apex_class_System_OrgLimits]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexMap
from tests.apex_runtime.library.registry import (
    InSession,
    define,
    getter,
    named,
    platform_object,
)
from tests.apex_runtime.types import STRING

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session

_NAMES = (
    "AggregateQueries",
    "AsyncCalls",
    "Callouts",
    "CpuTime",
    "DmlRows",
    "DmlStatements",
    "FutureCalls",
    "HeapSize",
    "PublishImmediateDML",
    "Queries",
    "QueryRows",
    "QueueableJobs",
)
_ORG_NAMES = (
    "DailyApiRequests",
    "DailyAsyncApexExecutions",
    "DailyAsyncApexTests",
    "HourlyAsyncReportRuns",
    "HourlyPublishedPlatformEvents",
    "HourlyPublishedStandardVolumePlatformEvents",
    "SingleEmail",
)


def _used(name: str) -> InSession:
    return InSession(lambda session: session.platform.limit(name)[0])


def _most(name: str) -> InSession:
    return InSession(lambda session: session.platform.limit(name)[1])


define(
    "Limits",
    statics={
        **{f"get{name}() Integer": _used(name) for name in _NAMES},
        **{f"getLimit{name}() Integer": _most(name) for name in _NAMES},
    },
)


def _org_limits(session: Session) -> ApexMap:
    """Return the entries that the org models, by name."""
    entries = ApexMap(STRING, named("OrgLimit"))
    for name in _ORG_NAMES:
        found = session.platform.org_limit(name)
        if found is not None:
            used, most = found
            entries.put(name, platform_object("OrgLimit", name=name, value=used, limit=most))
    return entries


define(
    "OrgLimit",
    methods={
        "getLimit() Integer": getter("limit"),
        "getName() String": getter("name"),
        "getValue() Integer": getter("value"),
    },
)
define("OrgLimits", statics={"getMap() Map<String,OrgLimit>": InSession(_org_limits)})
