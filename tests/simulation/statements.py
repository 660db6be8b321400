"""What the workers' statements on changes, records and dead letters do, in memory.

Each takes the transaction and the statement's own arguments, locks what it writes, and returns its
rows. The SQL itself is tested against PostgreSQL; here it is what the code around it makes of it.
"""
# ruff: noqa: SLF001  a statement is its own name

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from pipeline.database import schema
from tests.simulation.statements_enrollments import HANDLERS as ENROLLMENTS
from tests.simulation.statements_relay import HANDLERS as RELAY
from workers import (
    dead_letters,
    forgotten,
    history,
    record_ends,
    recorder,
    redeliveries,
    rule_book,
    tries,
)
from workers.continuity import gaps, stored, watched

if TYPE_CHECKING:
    from tests.simulation.store import Handler, Row, Transaction

# What a record has that this database refuses for good, as PostgreSQL does a broken character.
REFUSED: Final = b'"Refused"'

_CHANGE: Final = [
    "captured_at",
    "capture_id",
    "record_id",
    "org_id",
    "object",
    "operation",
    "sequence",
    "transaction_id",
    "actor_id",
    "callout_id",
    "received_at",
    "old",
    "new",
]
_RECORD: Final = [
    "org_id",
    "record_id",
    "object",
    "captured_at",
    "sequence",
    "capture_id",
    "deleted",
    "fields",
    "before",
    "after",
]
_END: Final = [
    "org_id",
    "record_id",
    "captured_at",
    "sequence",
    "capture_id",
    "kind",
    "successor_id",
]
_LETTER: Final = [
    "org_id",
    "object",
    "operation",
    "capture_id",
    "record_id",
    "reason",
    "error",
    "original",
    "callout_id",
    "captured_at",
    "received_at",
]
_ORDER: Final = ("captured_at", "sequence", "capture_id")


def rows_of(names: list[str], columns: tuple[list[Any], ...]) -> list[Row]:
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def order_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ORDER)


async def _insert_history(own: Transaction, *columns: list[Any]) -> list[Row]:
    written = []
    for row in rows_of(_CHANGE, columns):
        if REFUSED in (row["new"] or b""):
            raise asyncpg.UntranslatableCharacterError("refused")
        key = tuple(row[name] for name in _CHANGE[:4])
        await own.lock("change", key)
        if own.get("change", key) is None:
            own.put("change", key, row)
            written.append({name: row[name] for name in _CHANGE[:4]} | {"epoch": 1})
    return written


async def _upsert_records(own: Transaction, *columns: list[Any]) -> list[Row]:
    written = []
    for row in rows_of(_RECORD, columns):
        key = (row["org_id"], row["record_id"])
        await own.lock("record", key)
        kept = own.get("record", key)
        before = row.pop("before")
        if kept is not None and (
            order_of(kept) >= order_of(row) or before not in (None, kept["after"])
        ):
            continue
        own.put("record", key, row)
        written.append(row)
    return written


async def _read_unwritten(own: Transaction, *columns: list[Any]) -> list[Row]:
    names = ["org_id", "record_id", "captured_at", "sequence", "capture_id"]
    found = []
    for newest in rows_of(names, columns):
        kept = own.get("record", (newest["org_id"], newest["record_id"]))
        if kept is not None and order_of(kept) != order_of(newest):
            found.append(kept | {"fields": kept["fields"].decode(), "transaction_id": None})
    return found


async def _keep_redeliveries(own: Transaction, *columns: list[Any]) -> list[Row]:
    for row in zip(*columns, strict=True):
        await own.lock("redelivery", row[:4])
        own.put("redelivery", row[:4], {"row": row})
    return []


async def _keep_ends(own: Transaction, *columns: list[Any]) -> list[Row]:
    for row in rows_of(_END, columns):
        key = tuple(row[name] for name in _END[:5])
        await own.lock("record_end", key)
        if own.get("record_end", key) is None:
            own.put("record_end", key, row)
    return []


async def _keep_dead(own: Transaction, *columns: list[Any]) -> list[Row]:
    for row in rows_of(_LETTER, columns):
        key = (row["org_id"], row["capture_id"], row["record_id"])
        await own.lock("dead_letter", key)
        own.put("dead_letter", key, row)
    return []


async def _record(own: Transaction, *values: Any) -> list[Row]:
    key = ("message", values[8])
    await own.lock("dead_letter", key)
    own.put("dead_letter", key, {"reason": values[3], "original": values[5]})
    return []


async def _mark(own: Transaction, *key: str) -> list[Row]:
    await own.lock("delivery_try", key)
    tries_count = (own.get("delivery_try", key) or {"tries": 0})["tries"] + 1
    own.put("delivery_try", key, {"tries": tries_count})
    return [{"tries": tries_count}]


async def _take_back(own: Transaction, *key: str) -> list[Row]:
    await own.lock("delivery_try", key)
    if (kept := own.get("delivery_try", key)) is not None:
        own.put("delivery_try", key, {"tries": kept["tries"] - 1})
    return []


async def _clear(own: Transaction, *key: str) -> list[Row]:
    await own.lock("delivery_try", key)
    own.put("delivery_try", key, None)
    return []


def _constant(*rows: Row) -> Handler:
    async def handler(_: Transaction, *__: object) -> list[Row]:
        return list(rows)

    return handler


async def _rules(own: Transaction) -> list[Row]:
    return [row for _, row in own.scan("rule")]


async def _orgs(own: Transaction) -> list[Row]:
    return [row for _, row in own.scan("org")]


HANDLERS: Final[dict[str, Handler]] = {
    "SELECT to_regclass('schema_migration') IS NOT NULL": _constant({"exists": True}),
    schema._READ: _constant(
        *({"number": number, "unused_since": None} for number in schema.migrations())
    ),
    history._INSERT_HISTORY: _insert_history,
    history._UPSERT_RECORDS: _upsert_records,
    stored._READ: _read_unwritten,
    gaps._FIND_COVERED: _constant(),
    watched._READ_EPOCH: _constant({"epoch": 1}),
    watched._READ_SPANS: _constant(),
    watched._READ_CALCULATED: _constant(),
    forgotten._DRAW_ID: _constant(),
    forgotten._READ_ORGS: _constant(),
    rule_book._READ_EPOCH: _constant({"epoch": 1}),
    rule_book._READ_RULES: _rules,
    rule_book._READ_ORGS: _orgs,
    rule_book._READ_TRAVERSALS: _constant(),
    redeliveries._KEEP: _keep_redeliveries,
    record_ends._INSERT: _keep_ends,
    dead_letters._INSERT: _keep_dead,
    recorder._INSERT: _record,
    tries._MARK: _mark,
    tries._TAKE_BACK: _take_back,
    tries._CLEAR: _clear,
    **ENROLLMENTS,
    **RELAY,
}
