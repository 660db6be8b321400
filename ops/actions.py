"""The operators' trail: who did what, when, to what, and what came of it."""

from __future__ import annotations

import contextlib
import getpass
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.times import with_iso_times

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pipeline.database import Connection

_RECORD: Final = """
    INSERT INTO action (actor, action, parameters, run_id, outcome)
    VALUES ($1, $2, $3::text::jsonb, $4, $5)"""
_LIST: Final = """
    SELECT action_id AS id, acted_at, actor, action, action.parameters::text, action.run_id,
           coalesce(outcome, CASE WHEN action = kind THEN
               concat_ws(', ', state, done_count || ' done', nullif(skipped_count, 0) || ' skipped',
                         nullif(failed_count, 0) || ' failed') END, 'done') AS outcome
    FROM action LEFT JOIN bulk_run USING (run_id)
    WHERE ($1::bigint IS NULL OR action_id < $1)
      AND ($2::text IS NULL OR actor = $2) AND ($3::text IS NULL OR action = $3)
    ORDER BY action_id DESC LIMIT $4"""


class Action(StrEnum):
    """What a person did. A bulk run's action has the name of its kind."""

    DEAD_REPLAY = "dead_replay"
    DEAD_DISCARD = "dead_discard"
    HISTORY_REPLAY = "history_replay"
    CALLOUT_REPLAY = "callout_replay"
    FORGET = "forget"
    RUN_PAUSE = "run_pause"
    RUN_RESUME = "run_resume"
    RUN_CANCEL = "run_cancel"
    RULE_DISABLE = "rule_disable"
    RULE_ENABLE = "rule_enable"
    RULE_ROLLBACK = "rule_rollback"
    ENROLLMENTS_RELEASE = "enrollments_release"
    DATABASE_RESTORED = "database_restored"
    ORG_PAUSE = "org_pause"
    ORG_RESUME = "org_resume"
    SECRETS_ROTATE = "secrets_rotate"
    TOKEN_ADD = "token_add"  # noqa: S105  what was done
    TOKEN_REVOKE = "token_revoke"  # noqa: S105  what was done


class ActionRow(msgspec.Struct, frozen=True):
    """One action; `acted_at` is RFC 3339."""

    id: int
    acted_at: str
    actor: str
    action: Action
    parameters: dict[str, Any]
    run_id: int | None
    outcome: str


def command_line_actor() -> str:
    """Return who acts at this command line: `user@host`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def record(  # noqa: PLR0913  what an action consists of
    connection: Connection,
    action: Action,
    *,
    actor: str,
    parameters: Mapping[str, object],
    run_id: int | None = None,
    outcome: str | None = None,
) -> None:
    """Write an action down, in the transaction of what it does.

    `parameters` holds no secret and no value of a record. `outcome` is left out for what a run
    tells, and for what is simply done.
    """
    text = msgspec.json.encode(parameters).decode()
    await connection.execute(_RECORD, actor, action.value, text, run_id, outcome)


@contextlib.asynccontextmanager
async def recorded(
    connection: Connection, action: Action, *, actor: str, **parameters: object
) -> AsyncIterator[None]:
    """Do in one transaction what the block does, and write it down; nothing of either if it fails.

    `parameters` as in `record`.
    """
    async with connection.transaction():
        yield
        await record(connection, action, actor=actor, parameters=parameters)


async def listing(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    actor: str | None = None,
    action: Action | None = None,
) -> list[ActionRow]:
    """Return actions, newest first; `before_id` is the last one's of the page before."""
    rows = await connection.fetch(_LIST, before_id, actor, action, limit)
    return [_row(with_iso_times(row)) for row in rows]


def _row(row: dict[str, Any]) -> ActionRow:
    return msgspec.convert({**row, "parameters": msgspec.json.decode(row["parameters"])}, ActionRow)
