"""WHERE of a query, decided for one row at a time, with SOQL's idea of equality and of null."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.schema import FieldType
from tests.apex_runtime.parse import kind
from tests.apex_runtime.values import ApexDatetime, ApexList, ApexSet, Id, throw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.platform import Binder
    from tests.apex_runtime.values import Value

    Condition = Callable[[Row], bool]

_UNFILTERABLE: Final = frozenset({FieldType.LONG_TEXT_AREA, FieldType.ENCRYPTED_TEXT})
_SETS: Final = frozenset({"QueryOp$QueryIn", "QueryOp$QueryNotIn"})
_DAY_MS: Final = 86_400_000


def names_of(identifier: Mapping[str, Any]) -> list[str]:
    """Return the names of a dotted field identifier, as written."""
    entity = identifier["entity"].get("value")
    before = [] if entity is None else names_of(entity)
    return [*before, identifier["field"]["value"]]


class Paths:
    """Resolves field paths (`Owner.Name`) of one type against the store, in API spelling."""

    def __init__(self, tx: Transaction, described: ObjectType) -> None:
        self._tx = tx
        self.described = described

    @property
    def now_ms(self) -> int:
        """The org's time, for date literals."""
        return self._tx.now_ms()

    def of(self, field: Mapping[str, Any], *, filtered: bool = True) -> list[str]:
        """Return the path that a tree's field names; `filtered` where not every type may stand."""
        if field["function1"] or field["function2"]:
            raise NotModelled(f"a function in SOQL: {field['function1']}")
        *relationships, name = names_of(field["field"])
        at = self.described
        names = []
        for relationship in relationships:
            reference = at.reference(relationship)
            if reference is None or reference.relationship is None:
                raise NotModelled(f"no relationship {at.name}.{relationship}")
            names.append(reference.relationship)
            at = self._tx.org.catalog[reference.reference_to[0]]
        found = at.field(name)
        if found is None:
            raise NotModelled(f"no field {at.name}.{name}")
        if filtered and found.type in _UNFILTERABLE:
            throw("QueryException", f"field '{found.name}' can not be filtered in a query call")
        return [*names, found.name]

    def parent(self, type_name: str, row: Row, relationship: str) -> tuple[ObjectType, Row] | None:
        """Return the parent's type and row, None where the reference is empty."""
        reference = self._tx.org.catalog[type_name].reference(relationship)
        assert reference is not None
        target = row.get(reference.name)
        if target is None:
            return None
        described = self._tx.org.catalog.of_id(str(target))
        found = described and self._tx.org.store.get(described.name, str(target))
        return (described, found) if described and found else None

    def value(self, row: Row, names: list[str], type_name: str | None = None) -> Value:
        """Return the value at the end of a path, None where it or a parent is null."""
        described, at = self._tx.org.catalog[type_name or self.described.name], row
        for relationship in names[:-1]:
            found = self.parent(described.name, at, relationship)
            if found is None:
                return None
            described, at = found
        defined = described.field(names[-1])
        if defined is not None and defined.formula is not None:
            computed: Value = defined.formula(at)
            return computed
        return at.get(names[-1])

    def getter(self, names: list[str]) -> Callable[[Row], Value]:
        """Return what reads the value at the end of a path, found once for many rows."""
        (*parents, name) = names
        defined = self.described.field(name)
        if parents or defined is None:
            return lambda row: self.value(row, names)
        return defined.formula or (lambda row: row.get(name))

    def semi_join(self, query: Mapping[str, Any], bind: Binder) -> list[Value]:
        """Return the one column of an inner query."""
        (source,) = query["from"]["exprs"]
        inner = Paths(self._tx, self._tx.org.catalog[source["table"]["field"]["value"]])
        (column,) = (inner.of(each["field"]) for each in query["select"]["exprs"])
        rows = self._tx.org.store.rows(inner.described.name)
        return [inner.value(row, column) for row in inner.matching(rows, query, bind)]

    def matching(self, rows: Iterable[Row], query: Mapping[str, Any], bind: Binder) -> list[Row]:
        """Return the rows for which a query's WHERE holds; all without one."""
        return list(self.passing(rows, query, bind))

    def passing(self, rows: Iterable[Row], query: Mapping[str, Any], bind: Binder) -> Iterator[Row]:
        """Yield the rows for which a query's WHERE holds, one by one; all without one."""
        where = query["where"].get("value")
        return iter(rows) if where is None else filter(condition(where["expr"], self, bind), rows)


def after_id(query: Mapping[str, Any], bind: Binder) -> str:
    """Return the greatest id that a query's `Id > …` excludes, empty where it has none."""
    where = query["where"].get("value")
    expr = where["expr"] if where else {}
    is_every = expr and kind(expr) == "WhereExpr$WhereCompoundExpr" and _is_and(expr)
    for each in expr["expr"] if is_every else [expr]:
        if (
            each
            and kind(each) == "WhereExpr$WhereOpExpr"
            and kind(each["op"]) == "QueryOp$QueryGreaterThan"
            and [name.lower() for name in names_of(each["field"]["field"])] == ["id"]
            and kind(each["expr"]) == "QueryExpr$ApexExpr"
        ):
            bound = bind(each["expr"]["expr"]["expr"])
            return str.__str__(Id(bound)) if isinstance(bound, str) else ""
    return ""


def _is_and(expr: Mapping[str, Any]) -> bool:
    return kind(expr["op"]) != "WhereCompoundOp$QueryOr"


def condition(expr: Mapping[str, Any], paths: Paths, bind: Binder) -> Condition:
    """Return what decides a condition for a row; binds and inner queries are read now, once."""
    match kind(dict(expr)):
        case "WhereExpr$WhereCompoundExpr":
            parts = [condition(each, paths, bind) for each in expr["expr"]]
            if not _is_and(expr):
                return lambda row: any(part(row) for part in parts)
            return lambda row: all(part(row) for part in parts)
        case "WhereExpr$WhereUnaryExpr":
            negated = condition(expr["expr"], paths, bind)
            return lambda row: not negated(row)
        case "WhereExpr$WhereOpExpr":
            wanted = _operand(expr["expr"], paths, bind)
        case "WhereExpr$WhereOpExprs":
            wanted = [_operand(each, paths, bind) for each in expr["expr"]]
        case "WhereExpr$WhereInnerExpr":
            wanted = paths.semi_join(expr["inner"], bind)
        case other:
            raise NotModelled(f"WHERE {other}")
    names = paths.of(expr["field"])
    if kind(expr["op"]) in _SETS and not isinstance(wanted, list):
        raise NotModelled(f"IN {wanted!r}")
    operator = kind(expr["op"]).removeprefix("QueryOp$")
    if isinstance(wanted, list):
        wanted = _Several(wanted)
    value_of = paths.getter(names)
    return lambda row: _compare(operator, value_of(row), wanted)


class _Several:
    """The right-hand side of IN: plain values by hash, as SOQL compares them."""

    def __init__(self, values: list[Any]) -> None:
        self._values = {_folded(each) for each in values}

    def __contains__(self, value: Value) -> bool:
        return _folded(value) in self._values


def _folded(value: Any) -> Any:  # noqa: ANN401  any field's value
    """Return a value so that equal ones are equal: text without case, ids in 18 characters."""
    if isinstance(value, str) and not isinstance(value, Id) and Id.valid(value):
        value = Id(value)
    return value.lower() if isinstance(value, str) else value


def _operand(expr: Mapping[str, Any], paths: Paths, bind: Binder) -> Any:  # noqa: ANN401  a value, several or a span
    """Return the right-hand side: a literal, a bound value, or the span of a date literal."""
    if kind(dict(expr)) == "QueryExpr$ApexExpr":
        bound = bind(expr["expr"]["expr"])
        return list(bound) if isinstance(bound, (ApexList, ApexSet)) else bound
    literal = expr["literal"]
    name = kind(literal).removeprefix("QueryLiteral$")
    if name == "QueryDateFormula":
        return _span(literal["dateFormula"], paths.now_ms)
    if name not in _LITERALS:
        raise NotModelled(f"SOQL literal {name}")
    return _LITERALS[name](literal.get("literal"))


def _moment(written: str) -> ApexDatetime:
    """Read `2026-05-01T12:00Z[GMT]`."""
    return ApexDatetime.of(dt.datetime.fromisoformat(written.partition("[")[0]))


_LITERALS: Final[dict[str, Callable[[Any], Any]]] = {
    "QueryString": str,
    "QueryNumber": lambda written: Decimal(str(written["$"])),
    "QueryTrue": lambda _: True,
    "QueryFalse": lambda _: False,
    "QueryNull": lambda _: None,
    "QueryDate": dt.date.fromisoformat,
    "QueryDateTime": _moment,
}


def _span(formula: str, now_ms: int) -> range:
    """Return a date literal's span, Unix ms; days are those of UTC."""
    today = now_ms - now_ms % _DAY_MS
    name, _, days = formula.upper().partition(":")
    match name:
        case "TODAY":
            return range(today, today + _DAY_MS)
        case "YESTERDAY":
            return range(today - _DAY_MS, today)
        case "TOMORROW":
            return range(today + _DAY_MS, today + 2 * _DAY_MS)
        case "LAST_N_DAYS":
            return range(today - int(days) * _DAY_MS, today + _DAY_MS)
        case "NEXT_N_DAYS":
            return range(today + _DAY_MS, today + (int(days) + 1) * _DAY_MS)
        case _:
            raise NotModelled(f"date literal {formula}")


def _compare(name: str, value: Value, wanted: Any) -> bool:  # noqa: ANN401  as `_operand` gives
    """Compare as SOQL does: text without case, null with = != IN and NOT IN only."""
    if name in _EQUALITIES:
        return _EQUALITIES[name](value, wanted)
    if name not in _ORDERS:
        raise NotModelled(f"SOQL operator {name}")
    if value is None or wanted is None:
        return False
    if isinstance(value, Id):
        wanted = Id(str(wanted))
    return _ORDERS[name](_number(value), *_bounds(wanted))


def _like(value: Value, wanted: Any) -> bool:  # noqa: ANN401  as `_operand` gives
    return isinstance(value, str) and _pattern(str(wanted)).fullmatch(value) is not None


def _equal(value: Value, wanted: Any) -> bool:  # noqa: ANN401  as `_operand` gives
    if isinstance(wanted, range):
        return value is not None and _number(value) in wanted
    if isinstance(value, Id):
        return wanted is not None and value == Id(str(wanted))
    if isinstance(value, str) and isinstance(wanted, str):
        return value.lower() == wanted.lower()
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _bounds(wanted: Any) -> tuple[Any, Any]:  # noqa: ANN401  as `_operand` gives
    """Return the first and last moment that a value stands for."""
    if isinstance(wanted, range):
        return wanted[0], wanted[-1]
    return _number(wanted), _number(wanted)


def _number(value: Any) -> Any:  # noqa: ANN401  any comparable value
    """Return a value in a form that compares: moments and days as Unix ms, text without case."""
    match value:
        case Id():
            return str.__str__(value)
        case ApexDatetime():
            return value.ms
        case dt.date():
            midnight = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
            return ApexDatetime.of(midnight).ms
        case str():
            return value.lower()
        case _:
            return value


def _pattern(like: str) -> re.Pattern[str]:
    """Return LIKE's pattern: % for any text, _ for one character."""
    parts = {"%": ".*", "_": "."}
    regex = "".join(parts.get(each, re.escape(each)) for each in like)
    return re.compile(regex, re.IGNORECASE | re.DOTALL)


_EQUALITIES: Final[dict[str, Callable[[Value, Any], bool]]] = {
    "QueryEqual": _equal,
    "QueryNotEqual": lambda value, wanted: not _equal(value, wanted),
    "QueryIn": lambda value, wanted: value in wanted,
    "QueryNotIn": lambda value, wanted: value not in wanted,
    "QueryLike": _like,
}
# Each takes a value, and the first and last that the right-hand side stands for.
_ORDERS: Final[dict[str, Callable[[Any, Any, Any], bool]]] = {
    "QueryLessThan": lambda value, first, _: bool(value < first),
    "QueryLessThanEqual": lambda value, _, last: bool(value <= last),
    "QueryGreaterThan": lambda value, _, last: bool(value > last),
    "QueryGreaterThanEqual": lambda value, first, _: bool(value >= first),
}
