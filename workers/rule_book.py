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

log = structlog.get_logger()

_READ_EPOCH: Final = "SELECT epoch FROM rule_epoch"
_READ_RULES: Final = """
    SELECT org_id, rule, version, source FROM rule WHERE state = 'active' ORDER BY org_id, rule"""
_READ_SYNC_USERS: Final = "SELECT org_id, sync_user_id FROM org"


class RuleBook:
    """What decides changes at one epoch; read again when a transaction sees another."""

    def __init__(self) -> None:
        self._epoch: int | None = None
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
        compiled: defaultdict[str, list[CompiledRule]] = defaultdict(list)
        for row in await connection.fetch(_READ_RULES):
            try:
                (rule,) = parse_rules(row["source"], f"rule {row['rule']} of org {row['org_id']}")
            except RuleError as error:
                raise TransientError(f"a rule cannot be read by this version: {error}") from error
            compiled[row["org_id"]].append(compile_rule(rule, row["version"]))
        self._rules = {org_id: RuleSet(rules) for org_id, rules in compiled.items()}
        rows = await connection.fetch(_READ_SYNC_USERS)
        self._sync_users = {row["org_id"]: row["sync_user_id"] for row in rows}
        self._epoch = held
        log.info("rules_loaded", epoch=held, rule_count=sum(map(len, compiled.values())))

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
