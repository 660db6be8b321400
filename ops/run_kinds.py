"""What drives each kind of run, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ops import forget
from ops.bulk_runs import RunKind
from ops.dead_letters import discard, replay
from ops.replay import callouts, history

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ops.bulk_runs import Work
    from pipeline.database import Connection
    from pipeline.settings import Settings


async def require_rights(connection: Connection, kind: RunKind) -> None:
    """Refuse whoever may not do what a kind of run does, before it goes on.

    Raises:
        OpsError: the user may not; says who may.
    """
    match kind:
        case RunKind.FORGET:
            await forget.require_rights(connection)
        case (
            RunKind.DEAD_DISCARD
            | RunKind.DEAD_REPLAY
            | RunKind.HISTORY_REPLAY
            | RunKind.CALLOUT_REPLAY
        ):
            pass
        case unknown:
            assert_never(unknown)


def work_of(kind: RunKind, settings: Settings) -> AbstractAsyncContextManager[Work]:
    """Return what does a kind's steps, open for as long as they are done."""
    match kind:
        case RunKind.DEAD_DISCARD:
            return discard.work()
        case RunKind.DEAD_REPLAY:
            return replay.work(settings)
        case RunKind.HISTORY_REPLAY:
            return history.work(parent_wait_s=settings.worker.parent_wait_s)
        case RunKind.CALLOUT_REPLAY:
            return callouts.work(settings)
        case RunKind.FORGET:
            return forget.work()
        case unknown:
            assert_never(unknown)
