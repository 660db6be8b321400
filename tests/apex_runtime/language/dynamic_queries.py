"""Queries in a text: `Database.query`, `countQuery` and `queryWithBinds`. [apex_dynamic_soql]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import CompileError, throw
from tests.apex_runtime.language.code import SESSION, Code, Frame, Run
from tests.apex_runtime.language.names import resolve_name
from tests.apex_runtime.language.queries import bind_nodes, counts
from tests.apex_runtime.parse import Node, kind, optional, parse, text
from tests.apex_runtime.types import SOBJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.apex_runtime.containers import ApexList, ApexMap
    from tests.apex_runtime.language.overloads import Candidate
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value


def parsed_query(soql: str) -> Node:
    """Return the tree of a query's text; QueryException for a bad one."""
    try:
        unit = parse(f"Object q = [{soql}];", "(dynamic SOQL)", anonymous=True)
    except CompileError as problem:
        throw("QueryException", str(problem.args[0]))
    declared = unit["members"][0]["variableDecls"]["decls"][0]
    query: Node = optional(declared["assignment"])["query"]
    return query


def dynamic_query(scope: Scope, chosen: Candidate, args: list[Code]) -> Code:
    """Compile `Database.query(text)`: its binds are simple names of variables visible there."""
    here = scope.snapshot()
    run = args[0].run
    is_count = chosen.method.name == "countQuery"

    def ask(f: Frame) -> Any:  # noqa: ANN401 (rows, or their number)
        query = parsed_query(run(f))
        binds = {name: _variable(here, node) for name, node in _simple_names(query)}
        return answer(f[SESSION], query, lambda name: binds[name](f), is_count=is_count)

    return Code(chosen.returns, ask, is_query=not is_count)


def _variable(scope: Scope, node: Node) -> Run:
    found = resolve_name(scope, node)
    if not isinstance(found, Code):
        throw("QueryException", f"Variable does not exist: {text(node)}")
    return found.run


def _simple_names(query: Node) -> list[tuple[str, Node]]:
    found = []
    for each in bind_nodes(query):
        if kind(each) != "Expr$VariableExpr" or len(each["names"]) != 1:
            throw("QueryException", "Only variable references are allowed in dynamic SOQL/SOSL.")
        found.append((text(each["names"][0]).casefold(), each["names"][0]))
    return found


def answer(
    session: Session, query: Node, value_of: Callable[[str], Value], *, is_count: bool = False
) -> int | ApexList:
    """Ask the platform; `value_of` gives a bind's value by its folded name."""

    def bind(expression: Mapping[str, Any]) -> Value:
        node = expression["expr"] if kind(expression) == "ColonExpr" else expression
        return value_of(text(node["names"][0]).casefold())

    if is_count or counts(query):
        return session.count(query, bind)
    return session.new_list(SOBJECT, session.platform.query(query, bind))


def query_with_binds(session: Session, soql: str, binds: ApexMap) -> int | ApexList:
    """Answer `Database.queryWithBinds`: the binds are keys of a map, in any case."""
    query = parsed_query(soql)
    values = {str(key).casefold(): value for key, value in binds.items()}
    for name, _ in _simple_names(query):
        if name not in values:
            throw("QueryException", f"Key '{name}' does not exist in the bindMap")
    return answer(session, query, values.__getitem__)
