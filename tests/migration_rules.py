"""What a migration may not do to a table that is in use; `pipeline/migrations/README.md` says why.

By words, not by a grammar: migrations are written in one style, and what is read wrongly is refused
rather than let through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipeline.database.apply import Migration, Way

if TYPE_CHECKING:
    from collections.abc import Iterator

_MADE: Final = re.compile(r"\bCREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)")
_BODIES: Final = re.compile(r"\$(\w*)\$.*?\$\1\$", re.DOTALL)
_MARK: Final = re.compile(r"--\s*(contract|checked by): \S.*\n\s*")
_TABLE: Final = re.compile(
    r"^(?:ALTER TABLE|UPDATE|DELETE FROM|CREATE (?:UNIQUE )?INDEX(?: CONCURRENTLY)?"
    r"(?: IF NOT EXISTS)? \w+ ON)(?: IF EXISTS)?(?: ONLY)? (\w+)"
)
_CONSTANT: Final = r"DEFAULT (?:'[^']*'|-?\d+(?:\.\d+)?|true|false|NULL|now\(\))(?![\w(])"
_DROPS: Final = re.compile(r"^DROP (?!FUNCTION)|\bDROP (?!DEFAULT\b|NOT NULL\b)\w+")

# What to say of a statement, and what gives it away.
_NEVER: Final = {
    "locks the table while it works": r"^(?:REINDEX|CLUSTER|VACUUM|LOCK)\b",
    "RENAME: the version before knows the old name": r"\bRENAME\b",
    "rewrites the table": r"\bALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE\b|\bSET (?:UN)?LOGGED\b",
}


def objections(migration: Migration, earlier_tables: frozenset[str] | set[str]) -> list[str]:
    """Return what is wrong with a migration, given the tables of those before it."""
    found = [
        f"{problem}: {' '.join(statement.split())[:80]}"
        for marks, statement in _statements(migration.sql)
        for problem in _problems(migration.way, marks, statement, earlier_tables)
    ]
    if migration.way is Way.BATCHES and len(list(_statements(migration.sql))) != 1:
        found.append("in batches: holds one statement")
    if migration.unused_since is not None:
        found += _contract(migration)
    return found


def tables_made(sql: str) -> set[str]:
    """Return the tables that a migration makes."""
    return set(_MADE.findall(_without_bodies(sql)))


def _contract(migration: Migration) -> Iterator[str]:
    if migration.unused_since is not None and migration.unused_since >= migration.number:
        yield "unused since a migration before this one"
    for marks, statement in _statements(migration.sql):
        if "contract" not in marks or not _DROPS.search(statement):
            # It is applied later than those after it, by a version that does without.
            yield f"only takes away what is unused: {' '.join(statement.split())[:80]}"


def _problems(
    way: Way, marks: set[str], statement: str, earlier_tables: frozenset[str] | set[str]
) -> Iterator[str]:
    for problem, pattern in _NEVER.items():
        if re.search(pattern, statement):
            yield problem
    if _DROPS.search(statement) and "contract" not in marks:
        yield "drops what the version before may use; `-- contract: …` says that it does not"
    is_build = re.match(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS ", statement)
    if (way is Way.CONCURRENTLY) != bool(is_build):
        yield "goes with `-- apply: concurrently`, and nothing else does"
    named = _TABLE.match(statement)
    if named is not None and named[1] in earlier_tables:
        yield from _in_use(way, marks, statement)


def _in_use(way: Way, marks: set[str], statement: str) -> Iterator[str]:
    if re.match(r"UPDATE|DELETE", statement):
        if way is not Way.BATCHES:
            yield "holds row locks for as long as the table is large: in batches"
        elif not re.search(r"\bLIMIT \d+", statement):
            yield "in batches: has no LIMIT"
    elif re.match(r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)", statement):
        yield "locks writers out: CREATE INDEX CONCURRENTLY"
    elif statement.startswith("ALTER TABLE"):
        yield from _alterations(marks, statement)


def _alterations(marks: set[str], statement: str) -> Iterator[str]:
    for action in re.split(r",\s*(?=(?:ADD|ALTER|DROP|VALIDATE|SET)\b)", statement):
        words = re.sub(r"^ALTER TABLE (?:ONLY )?\w+\s+", "", action).strip()
        if re.match(r"ALTER \S+(?: \w+)? SET NOT NULL|ALTER COLUMN \w+ SET NOT NULL", words):
            if "checked by" not in marks:
                yield "SET NOT NULL reads the whole table unless `-- checked by: …` names a check"
        elif re.match(r"ADD (?:CONSTRAINT|CHECK|FOREIGN|UNIQUE|PRIMARY|EXCLUDE)\b", words):
            if not re.search(r"\bNOT VALID\b|\bUSING INDEX\b", words):
                yield "a constraint reads the whole table: NOT VALID, and validated later"
        elif words.startswith("ADD "):
            has_constant = re.search(_CONSTANT, words)
            if "DEFAULT" in words and not has_constant:
                yield "a default that is no constant rewrites the table"
            if re.search(r"\bNOT NULL\b", words) and not has_constant:
                yield "NOT NULL without a constant default fails where there are rows"
            if re.search(r"\b(?:REFERENCES|CHECK|UNIQUE|PRIMARY|GENERATED)\b", words):
                yield "a constraint reads the whole table: NOT VALID, and validated later"


def _statements(sql: str) -> Iterator[tuple[set[str], str]]:
    """Yield each statement, with the marks in the comments before it."""
    for text in _without_bodies(sql).split(";\n"):
        code = re.sub(r"--[^\n]*", "", text).strip()
        if code:
            yield set(_MARK.findall(text)), code


def _without_bodies(sql: str) -> str:
    return _BODIES.sub("''", sql)
