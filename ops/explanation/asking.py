"""Asking a version of a rule about a change of the past again, condition by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from ops.explanation.conditions import Clause, clause
from pipeline.change import Change
from pipeline.json_text import decode_fields, mask
from pipeline.objects import Operation, SObject
from rules import MAX_LOOKUPS, Moment, RuleError, States, compile_rule, parse_rules
from workers.lookups.parents import Parents

if TYPE_CHECKING:
    from asyncpg import Record

    from pipeline.change import Fields
    from pipeline.database import Connection
    from rules import CompiledRule

# A path is followed as it is and as it was.
_MAX_ROUNDS: Final = 2 * MAX_LOOKUPS


class Asked(NamedTuple):
    """What a rule says today. `trouble`: why it can say nothing.

    `verdict` is None where a record that it looks up is not synced. `listens`: it is on changes of
    this operation; `passes_sync_user`: it passes over changes that the Sync User made.
    """

    clauses: list[Clause]
    verdict: bool | None = None
    listens: bool = True
    passes_sync_user: bool = True
    max_age_ms: int = 0
    trouble: str | None = None


class Asking:
    """One change, given as its row of the history with the org's `time_zone`."""

    def __init__(self, connection: Connection, row: Record) -> None:
        self._connection = connection
        self._row = row
        self._parents = Parents()
        self._change: Change | None = None

    async def ask(self, name: str, version: int, source: str) -> Asked:
        """Ask one version of a rule; lookups read what is committed now."""
        try:
            (rule,) = parse_rules(source, f"version {version} of rule {name}")
            compiled = compile_rule(rule, version)
            change = self._decoded()
            zone = ZoneInfo(self._row["time_zone"])
        except (RuleError, ValueError, RecursionError, KeyError, OSError) as error:
            return Asked([], trouble=f"it cannot be asked again: {error}")
        if change.operation not in compiled.operations:
            return Asked([], listens=False)
        states = await self._states(compiled, change, zone)
        verdicts = compiled.judge_clauses(states)
        return Asked(
            clauses=[clause(one) for one in compiled.trace(states)],
            verdict=False if False in verdicts else None if None in verdicts else True,
            passes_sync_user=not compiled.include_sync_user,
            max_age_ms=compiled.max_age_ms,
        )

    async def _states(self, compiled: CompiledRule, change: Change, zone: ZoneInfo) -> States:
        """Return the change's states with every record in them that the rule looks up."""
        org_id = change.org_id
        known = self._parents.of(org_id)
        for _ in range(_MAX_ROUNDS):
            states = States(change, Moment(change.captured_at, zone), known)
            reads = [states.read(path, with_old=True) for path in compiled.paths]
            unread = {(org_id, read.unread) for read in reads if read.unread is not None}
            if not unread:
                break
            await self._parents.read(self._connection, unread)
        return States(change, Moment(change.captured_at, zone), known)

    def _decoded(self) -> Change:
        if self._change is None:
            row = self._row
            self._change = Change(
                org_id=row["org_id"],
                object=SObject(row["object"]),
                operation=Operation(row["operation"]),
                record_id=row["record_id"],
                capture_id=row["capture_id"],
                transaction_id=row["transaction_id"],
                sequence=row["sequence"],
                captured_at=row["captured_at"],
                actor_id=row["actor_id"],
                old=_fields(row["old"]),
                new=_fields(row["new"]),
            )
        return self._change


def _fields(text: str | None) -> Fields | None:
    return None if text is None else decode_fields(mask(text.encode()))
