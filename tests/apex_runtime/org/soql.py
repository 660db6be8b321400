"""Answering SOQL from the parser's query tree: fields and parents, WHERE, ORDER BY, LIMIT, COUNT().

What the tree may hold beyond that (GROUP BY, aggregates, child queries, …) is refused by name.
Source: SOQL and SOSL Reference; for limits apex_gov_limits.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.schema import Kind
from tests.apex_runtime.org.soql_where import Paths, after_id, names_of
from tests.apex_runtime.parse import kind
from tests.apex_runtime.values import Id, SObject, throw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.platform import Binder
    from tests.apex_runtime.values import Value

_UNREAD = ("bind", "groupBy", "tracking", "updateStats", "with")
_MODES = frozenset({"SYSTEM_MODE", "USER_MODE", "SECURITY_ENFORCED"})
COUNT_FIELD = "expr0"


def answer(tx: Transaction, query: Mapping[str, Any], bind: Binder) -> list[SObject]:
    """Return the records of a query; nulls are not populated, the Id always is.

    `SELECT COUNT()` gives one AggregateResult with the number in `expr0`. Parents come as records
    under their relationship's name.
    """
    _refuse_unread(query)
    tx.limits.spend("Queries")
    types = [names_of(each["table"]) for each in query["from"]["exprs"]]
    if len(types) != 1 or len(types[0]) != 1:
        raise NotModelled(f"FROM {types}")
    described = tx.org.catalog[types[0][0]]
    if described.kind is Kind.EVENT:
        raise NotModelled(f"a query of the platform event {described.name}")
    paths = Paths(tx, described)
    start = _number(query["offset"], bind) or 0
    most = _number(query["limit"], bind)
    end = None if most is None else start + most
    if _is_by_id(query):
        following = _visible(tx.org.store.following(described.name, after_id(query, bind)), query)
        rows = list(islice(paths.passing(following, query, bind), start, end))
    else:
        found = paths.matching(_visible(_rows(tx, described), query), query, bind)
        rows = _ordered(found, query, paths)[start:end]
    counts = kind(query["select"]) == "SelectClause$SelectCountClause"
    # COUNT() is one row, however many it counts.
    tx.limits.spend("QueryRows", 1 if counts else len(rows))
    if counts:
        return [SObject("AggregateResult", {COUNT_FIELD: len(rows)})]
    columns = _columns(query["select"], paths)
    if any(len(names) > 1 for names in columns):
        return [_record(described, row, columns, paths) for row in rows]
    getters = [(names[0], paths.getter(names)) for names in columns]
    asked = frozenset({"Id", *(name for name, _ in getters)})
    return [_plain_record(described.name, row, getters, asked) for row in rows]


def _refuse_unread(query: Mapping[str, Any]) -> None:
    """Refuse a clause that is not modelled."""
    for clause in _UNREAD:
        if query[clause]:
            raise NotModelled(f"SOQL clause {clause}")
    for mode in query["withIdentifiers"]:
        if mode["identifier"]["value"].upper() not in _MODES:
            raise NotModelled(f"WITH {mode['identifier']['value']}")
    for each in query["from"]["exprs"]:
        if each["alias"] or each["using"]:
            raise NotModelled("an alias or a scope in FROM")


def _rows(tx: Transaction, described: ObjectType) -> Iterable[Row]:
    return tx.org.store.rows(described.name, deleted=True)


def _is_by_id(query: Mapping[str, Any]) -> bool:
    """Tell whether a query asks for rows by id: the table is in that order already."""
    clause = query["orderBy"].get("value")
    if not clause or len(clause["exprs"]) != 1:
        return False
    (key,) = clause["exprs"]
    return (
        kind(key) == "OrderByExpr$OrderByValue"
        and kind(key["order"]) != "Order$OrderDesc"
        and [name.lower() for name in names_of(key["field"]["field"])] == ["id"]
    )


def _visible(rows: Iterable[Row], query: Mapping[str, Any]) -> Iterable[Row]:
    """Return the rows that a query sees: archived and deleted ones only for ALL ROWS."""
    option = query["options"].get("value")
    match None if option is None else kind(option):
        case "QueryOption$IncludeDeleted":
            return rows
        case None | "QueryOption$LockRows":
            return (row for row in rows if not (row.get("IsArchived") or row.get("IsDeleted")))
        case other:
            raise NotModelled(f"SOQL option {other}")


def _number(clause: Mapping[str, Any], bind: Binder) -> int | None:
    """Return LIMIT's or OFFSET's number, None without the clause."""
    written = clause.get("value")
    if written is None:
        return None
    if "i" in written:
        return int(written["i"])
    value = bind(written["expr"]["expr"])
    if not isinstance(value, int):
        throw("QueryException", f"LIMIT or OFFSET of {value!r}")
    return value


def _ordered(rows: list[Row], query: Mapping[str, Any], paths: Paths) -> list[Row]:
    """Sort, the least significant key first; nulls are first unless the query says last."""
    clause = query["orderBy"].get("value")
    for key in reversed(clause["exprs"] if clause else []):
        if kind(key) != "OrderByExpr$OrderByValue":
            raise NotModelled(f"ORDER BY {kind(key)}")
        names = paths.of(key["field"])
        descending = kind(key["order"]) == "Order$OrderDesc"
        nulls_last = kind(key["nullOrder"]) == "OrderNull$OrderNullLast"
        empty = [row for row in rows if paths.value(row, names) is None]
        filled = [row for row in rows if paths.value(row, names) is not None]
        filled.sort(key=lambda row: _sortable(paths.value(row, names)), reverse=descending)
        rows = filled + empty if nulls_last else empty + filled
    return rows


def _sortable(value: Value) -> Any:  # noqa: ANN401  any comparable value
    """Return a value as ORDER BY compares it: text without case, ids with it."""
    if isinstance(value, Id):
        return str.__str__(value)
    return value.lower() if isinstance(value, str) else value


def _columns(select: Mapping[str, Any], paths: Paths) -> list[list[str]]:
    """Return the paths of the selected fields, each once."""
    columns = []
    for each in select["exprs"]:
        if kind(each) != "SelectExpr$SelectColumnExpr" or each["alias"]:
            raise NotModelled(f"SELECT of {kind(each)}")
        columns.append(paths.of(each["field"], filtered=False))
    if len({tuple(names) for names in columns}) < len(columns):
        throw("QueryException", "duplicate field selected")
    return columns


def _plain_record(
    type_name: str,
    row: Row,
    getters: list[tuple[str, Callable[[Row], Value]]],
    asked: frozenset[str],
) -> SObject:
    """Return a row's fields where the query asks for no parent's."""
    fields = {"Id": row["Id"]}
    for name, value_of in getters:
        value = value_of(row)
        if value is not None:
            fields[name] = value
    return SObject(type_name, fields, queried=asked)


def _record(described: ObjectType, row: Row, columns: list[list[str]], paths: Paths) -> SObject:
    """Return a row's selected fields."""
    record = _queried(described, row, columns, 0)
    for column in columns:
        *relationships, name = column
        target, at = record, row
        for depth, relationship in enumerate(relationships, 1):
            found = paths.parent(target.type_name, at, relationship)
            if found is None:
                break
            parent_kind, at = found
            same = [each for each in columns if each[:depth] == column[:depth]]
            nested = target.fields.setdefault(relationship, _queried(parent_kind, at, same, depth))
            assert isinstance(nested, SObject)
            target = nested
        else:
            value = paths.value(at, [name], target.type_name)
            if value is not None:
                target.fields[name] = value
    return record


def _queried(described: ObjectType, row: Row, columns: list[list[str]], depth: int) -> SObject:
    """Return a record of which only the Id is known yet, and what the query asks of it."""
    asked = {column[depth] for column in columns if len(column) > depth}
    return SObject(described.name, {"Id": row["Id"]}, queried=frozenset({"Id", *asked}))
