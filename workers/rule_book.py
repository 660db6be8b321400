"""The active rules of every org, compiled once per epoch, and what else of an org they need."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import structlog

from pipeline.errors import TransientError
from pipeline.objects import SObject
from rules import CompiledRule, RuleError, RuleSet, compile_rule, parse_rules
from workers.field_reader import FieldReader
from workers.lookups.climbs import Climbs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from pipeline.database import Connection

    # (org, rule, version).
    RuleKey = tuple[str, str, int]

log = structlog.get_logger()

_READ_EPOCH: Final = "SELECT epoch FROM rule_epoch"
_READ_RULES: Final = """
    SELECT org_id, rule, version, source FROM rule WHERE state = 'active' ORDER BY org_id, rule"""
_READ_ORGS: Final = "SELECT org_id, sync_user_id, time_zone FROM org"
_READ_TRAVERSALS: Final = "SELECT org_id, object, field FROM traversal"


class OrgRules(NamedTuple):
    """What decides the changes of one org. Dates count in `zone`."""

    rules: RuleSet
    climbs: Climbs
    sync_user_id: str
    zone: tzinfo
    readers: dict[SObject, FieldReader | None]

    def reader(self, sobject: SObject) -> FieldReader | None:
        """Return what reads of an object's records the fields that decide.

        None where whole records are looked at: those that climbs lead from, or to.
        """
        if sobject not in self.readers:
            climbs = self.climbs
            is_climbed = climbs.is_watched(sobject) or climbs.references(sobject)
            names = self.rules.fields(sobject)
            self.readers[sobject] = None if is_climbed else FieldReader(names, names)
        return self.readers[sobject]


class RuleBook:
    """What decides changes at one epoch; read again when a transaction sees another.

    Not to be shared by tasks: it turns while they wait.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._compiled: Mapping[RuleKey, CompiledRule] = {}
        self._orgs: Mapping[str, OrgRules] = {}
        self.has_climbs = False

    async def turn_to(self, epoch: int, connection: Connection) -> None:
        """Hold the rules of `epoch` or later.

        Raises:
            TransientError: a rule was written for a newer version of this code, or an org's time
                zone is unknown to this machine. The worker holds rather than judge without it.
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
        # References are kept for as long as a sweep has not seen that no rule climbs them any more.
        kept: defaultdict[str, list[tuple[SObject, str]]] = defaultdict(list)
        for row in await connection.fetch(_READ_TRAVERSALS):
            kept[row["org_id"]].append((SObject(row["object"]), row["field"]))
        self._orgs = {
            row["org_id"]: OrgRules(
                rules=RuleSet(by_org[row["org_id"]]),
                climbs=Climbs(by_org[row["org_id"]], kept[row["org_id"]]),
                sync_user_id=row["sync_user_id"],
                zone=_zone(row["org_id"], row["time_zone"]),
                readers={},
            )
            for row in await connection.fetch(_READ_ORGS)
            if row["org_id"] in by_org or row["org_id"] in kept
        }
        self.has_climbs = any(org.climbs for org in self._orgs.values())
        self._compiled = compiled
        self._epoch = held
        log.info("rules_loaded", epoch=held, rule_count=len(compiled))

    async def turn_to_newest(self, connection: Connection) -> int:
        """Hold the rules as they are committed now; return their epoch.

        Raises:
            TransientError: as `turn_to`.
        """
        epoch: int = await connection.fetchval(_READ_EPOCH)
        await self.turn_to(epoch, connection)
        return epoch

    def of(self, org_id: str) -> OrgRules | None:
        """Return what decides an org's changes; None when nothing does."""
        return self._orgs.get(org_id)

    def needed_traversals(self) -> frozenset[tuple[str, SObject, str]]:
        """Return every (org, object, reference field) that rules climb."""
        return frozenset(
            (org_id, *needed) for org_id, org in self._orgs.items() for needed in org.climbs.needed
        )


def _compile(key: RuleKey, source: str) -> CompiledRule:
    org_id, name, version = key
    try:
        (rule,) = parse_rules(source, f"rule {name} of org {org_id}")
    except RuleError as error:
        raise TransientError(f"a rule cannot be read by this version: {error}") from error
    return compile_rule(rule, version)


def _zone(org_id: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # Not only a name that is not there: also one that is no file's name, and a folder's.
    except (KeyError, ValueError, OSError) as error:
        raise TransientError(f"org {org_id} has a time zone unknown here: {name!r}") from error
