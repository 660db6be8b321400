"""SOQL in brackets: the query goes to the platform with a binder for its `:expressions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.language.code import SESSION, Code, Frame, Run
from tests.apex_runtime.language.expressions import compile_value, expression
from tests.apex_runtime.parse import Node, kind, optional
from tests.apex_runtime.types import INTEGER, ApexType, Kind, list_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.platform import Binder
    from tests.apex_runtime.values import Value


def bind_nodes(part: object) -> Iterator[Node]:
    """Yield the expressions that a query binds, in the order of the tree."""
    if isinstance(part, dict):
        if "@class" in part and kind(part) == "ColonExpr":
            yield part["expr"]
            return
        for each in part.values():
            yield from bind_nodes(each)
    elif isinstance(part, list):
        for each in part:
            yield from bind_nodes(each)


def row_type(query: Node, scope: Scope) -> ApexType:
    """Return the type of a query's rows: the object, or AggregateResult."""
    (source,) = query["from"]["exprs"]
    name = source["table"]["field"]["value"]
    if optional(query["groupBy"]) is not None or any(
        optional(each["field"]["function1"]) is not None
        for each in query["select"].get("exprs", ())
        if "field" in each
    ):
        return ApexType("AggregateResult", Kind.SOBJECT)
    info = scope.world.sobject(name)
    if info is None:
        raise scope.refused(query, f"sObject type '{name}' is not supported")
    return ApexType(info.schema.name, Kind.SOBJECT)


def counts(query: Node) -> bool:
    """Say whether a query is `SELECT COUNT()`, whose value is an Integer."""
    return kind(query["select"]) == "SelectClause$SelectCountClause"


@expression("SoqlExpr")
def soql(node: Node, scope: Scope) -> Code:
    """Compile a query; its binds are compiled here and evaluated when it runs."""
    query = node["query"]
    binds: dict[int, Run] = {id(each): compile_value(each, scope).run for each in bind_nodes(query)}
    if counts(query):
        return Code(INTEGER, lambda f: f[SESSION].count(query, _binder(f, binds)))
    type_ = row_type(query, scope)

    def rows(f: Frame) -> Any:  # noqa: ANN401 (a list of records)
        session = f[SESSION]
        return session.new_list(type_, session.platform.query(query, _binder(f, binds)))

    return Code(list_of(type_), rows, is_query=True)


def _binder(f: Frame, binds: dict[int, Run]) -> Binder:
    def bind(expression: Mapping[str, Any]) -> Value:
        node = expression["expr"] if kind(expression) == "ColonExpr" else expression
        value: Value = binds[id(node)](f)
        return value

    return bind
