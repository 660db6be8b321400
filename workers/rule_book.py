"""The active rules of every org, compiled once per epoch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.errors import TransientError
from rules import CompiledRule, RuleError, RuleSet, compile_rule, parse_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.database import Connection
    from rules import Match
    from workers.received import ReceivedChange

    # (org, rule, version).
    RuleKey = tuple[str, str, int]

log = structlog.get_logger()

_READ_EPOCH: Final = "SELECT epoch FROM rule_epoch"
_READ_RULES: Final = """
    SELECT org_id, rule, version, source FROM rule WHERE state = 'active' ORDER BY org_id, rule"""
_READ_SYNC_USERS: Final = "SELECT org_id, sync_user_id FROM org"


class RuleBook:
    """What decides changes at one epoch; read again when a transaction sees another."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._compiled: Mapping[RuleKey, CompiledRule] = {}
        self._rules: Mapping[str, RuleSet] = {}
        self._sync_users: Mapping[str, str] = {}

    async def turn_to(self, epoch: int, connection: Connection) -> None:
        """Hold the rules of `epoch` or later.

        Raises:
            TransientError: a rule was written for a newer version of this code. The worker holds
                rather than judge without it.
        """
        if epoch == self._epoch:
            return
        # The epoch is read first: rules that change meanwhile are read again next time.
        held = await connection.fetchval(_READ_EPOCH)
        # A version never changes: only what is new since the last epoch is compiled.
        compiled: dict[RuleKey, CompiledRule] = {}
        by_org: defaultdict[str, list[CompiledRule]] = defaultdict(list)
        for row in await connection.fetch(_READ_RULES):
            key = (row["org_id"], row["rule"], row["version"])
            compiled[key] = self._compiled.get(key) or _compile(key, row["source"])
            by_org[row["org_id"]].append(compiled[key])
        self._compiled = compiled
        self._rules = {org_id: RuleSet(rules) for org_id, rules in by_org.items()}
        rows = await connection.fetch(_READ_SYNC_USERS)
        self._sync_users = {row["org_id"]: row["sync_user_id"] for row in rows}
        self._epoch = held
        log.info("rules_loaded", epoch=held, rule_count=len(compiled))

    def evaluate(self, change: ReceivedChange) -> list[Match]:
        """Return the rules of the change's org that match it.

        Its records are decoded only if some rule listens to such a change.

        Raises:
            PermanentError: a record cannot be decoded.
        """
        rules = self._rules.get(change.org_id)
        if rules is None or not rules.listens_to(change.object, change.operation):
            return []
        by_sync_user = change.actor_id == self._sync_users.get(change.org_id)
        return rules.evaluate(change.decode(), by_sync_user=by_sync_user)


def _compile(key: RuleKey, source: str) -> CompiledRule:
    org_id, name, version = key
    try:
        (rule,) = parse_rules(source, f"rule {name} of org {org_id}")
    except RuleError as error:
        raise TransientError(f"a rule cannot be read by this version: {error}") from error
    return compile_rule(rule, version)
