"""One operation on many things, applied in steps that any process can pause, take up or cancel."""

from ops.bulk_runs.driving import LEASE_S, RunFailed, drive
from ops.bulk_runs.model import OPEN, BulkRun, RunKind, RunState, Step, Work
from ops.bulk_runs.store import cancel, create, listing, pause, resume, show, unfinished

__all__ = [
    "LEASE_S",
    "OPEN",
    "BulkRun",
    "RunFailed",
    "RunKind",
    "RunState",
    "Step",
    "Work",
    "cancel",
    "create",
    "drive",
    "listing",
    "pause",
    "resume",
    "show",
    "unfinished",
]
