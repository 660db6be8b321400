"""The active rules of every org, compiled when they are needed, and what else of it they need."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary
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


class _Source(NamedTuple):
    """What an org's changes are decided by, as it is stored; rules as (name, version, text)."""

    rules: list[tuple[str, int, str]]
    kept: list[tuple[SObject, str]]
    sync_user_id: str
    time_zone: str


class RuleBook:
    """What decides changes at one epoch; read again when a transaction sees another.

    An org's rules are compiled when one of its changes comes, or when its lookups are asked for: of
    many orgs most are at rest. Not to be shared by tasks: it turns while they wait.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._sources: Mapping[str, _Source] = {}
        self._orgs: dict[str, OrgRules] = {}
        # Kept for when an org's rules change: a version never does, so that most need not again.
        self._compiled: dict[str, list[CompiledRule]] = {}
        # Whether an org that was asked for has lookups.
        self.has_climbs = False

    async def turn_to(self, epoch: int, connection: Connection) -> None:
        """Hold the rules of `epoch` or later."""
        if epoch == self._epoch:
            return
        # The epoch is read first: rules that change meanwhile are read again next time.
        held = await connection.fetchval(_READ_EPOCH)
        by_org: defaultdict[str, list[tuple[str, int, str]]] = defaultdict(list)
        rules = await connection.fetch(_READ_RULES)
        for row in rules:
            by_org[row["org_id"]].append((row["rule"], row["version"], row["source"]))
        # References are kept for as long as a sweep has not seen that no rule climbs them any more.
        kept: defaultdict[str, list[tuple[SObject, str]]] = defaultdict(list)
        for row in await connection.fetch(_READ_TRAVERSALS):
            kept[row["org_id"]].append((SObject(row["object"]), row["field"]))
        sources = {
            row["org_id"]: _Source(
                by_org[row["org_id"]], kept[row["org_id"]], row["sync_user_id"], row["time_zone"]
            )
            for row in await connection.fetch(_READ_ORGS)
            if row["org_id"] in by_org or row["org_id"] in kept
        }
        self._orgs = {
            org_id: org
            for org_id, org in self._orgs.items()
            if sources.get(org_id) == self._sources[org_id]
        }
        self._compiled = {
            org_id: compiled for org_id, compiled in self._compiled.items() if org_id in sources
        }
        self._sources = sources
        self.has_climbs = any(org.climbs for org in self._orgs.values())
        self._epoch = held
        log.info("rules_loaded", epoch=held, rule_count=len(rules))

    async def turn_to_newest(self, connection: Connection) -> int:
        """Hold the rules as they are committed now; return their epoch."""
        epoch: int = await connection.fetchval(_READ_EPOCH)
        await self.turn_to(epoch, connection)
        return epoch

    def of(self, org_id: str) -> OrgRules | None:
        """Return what decides an org's changes; None when nothing does.

        Raises:
            TransientError: a rule was written for a newer version of this code, or the org's time
                zone is unknown to this machine. The worker holds rather than judge without it.
        """
        org = self._orgs.get(org_id)
        if org is None and (source := self._sources.get(org_id)) is not None:
            org = self._orgs[org_id] = self._open(org_id, source)
            self.has_climbs |= bool(org.climbs)
        return org

    async def needed_traversals(self) -> frozenset[tuple[str, SObject, str]]:
        """Return every (org, object, reference field) that rules climb.

        Raises:
            TransientError: as `of`.
        """
        needed: set[tuple[str, SObject, str]] = set()
        for org_id, source in self._sources.items():
            # No path leads anywhere without a dot, which only a backslash could spell otherwise.
            if not any("." in text or "\\" in text for _, _, text in source.rules):
                continue
            if (org := self.of(org_id)) is not None:
                needed.update((org_id, *one) for one in org.climbs.needed)
            # Others work meanwhile: to compile the rules of many orgs takes long.
            await asyncio.sleep(0)
        return frozenset(needed)

    def _open(self, org_id: str, source: _Source) -> OrgRules:
        rules = [_compiled(org_id, *rule) for rule in source.rules]
        self._compiled[org_id] = rules
        return OrgRules(
            rules=RuleSet(rules),
            climbs=Climbs(rules, source.kept),
            sync_user_id=source.sync_user_id,
            zone=_zone(org_id, source.time_zone),
            readers={},
        )


# Books of one process come to the same rules: whichever compiles one first does it for all that
# hold it. By its text as well, which says all there is to it.
_shared: Final[WeakValueDictionary[tuple[str, str, int, str], CompiledRule]] = WeakValueDictionary()


def _compiled(org_id: str, name: str, version: int, text: str) -> CompiledRule:
    key = (org_id, name, version, text)
    if (compiled := _shared.get(key)) is None:
        compiled = _shared[key] = _compile(org_id, name, version, text)
    return compiled


def _compile(org_id: str, name: str, version: int, text: str) -> CompiledRule:
    try:
        (rule,) = parse_rules(text, f"rule {name} of org {org_id}")
    except RuleError as error:
        raise TransientError(f"a rule cannot be read by this version: {error}") from error
    return compile_rule(rule, version)


def _zone(org_id: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # Not only a name that is not there: also one that is no file's name, and a folder's.
    except (KeyError, ValueError, OSError) as error:
        raise TransientError(f"org {org_id} has a time zone unknown here: {name!r}") from error
