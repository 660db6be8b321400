"""Reads what stands under `when`: conditions, and groups of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rules.mistakes import near_name
from rules.model import AllOf, AnyOf, Condition, Not, Operator
from rules.operands import read_operand
from rules.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.objects import Operation
    from rules.model import Clause, Operand
    from rules.reading import Reading
    from rules.source import Node

_GROUPS: Final = ("all", "any", "not")
_WORDS: Final = ("field", *_GROUPS, *Operator)


class ClauseReader:
    """Reads the clauses of one rule.

    `operations` are those that the rule names, or None when they could not be read.
    """

    def __init__(self, reading: Reading, operations: frozenset[Operation] | None) -> None:
        self._reading = reading
        self._operations = operations

    def read_clauses(self, nodes: Iterable[Node]) -> tuple[Clause, ...]:
        """Read every clause; those with mistakes are left out."""
        clauses = [self.read_clause(node) for node in nodes]
        return tuple(clause for clause in clauses if clause is not None)

    def read_clause(self, node: Node) -> Clause | None:
        """Read a condition or a group."""
        entries = self._reading.read_mapping(node, "a condition")
        if entries is None:
            return None
        group = next((key for key in _GROUPS if key in entries), None)
        if group is None:
            return self._read_condition(node.line, entries)
        for key, value in entries.items():
            if key != group:
                self._reading.refuse(
                    value.line, f"'{key}' cannot stand beside '{group}'; begin another '-' for it"
                )
        return self._read_group(group, entries[group])

    def _read_group(self, group: str, node: Node) -> Clause | None:
        if group == "not":
            clause = self.read_clause(node)
            return Not(clause) if clause is not None else None
        nodes = self._reading.read_filled_list(node, f"'{group}'")
        if nodes is None:
            return None
        clauses = self.read_clauses(nodes)
        return AllOf(clauses) if group == "all" else AnyOf(clauses)

    def _read_condition(self, line: int, entries: dict[str, Node]) -> Condition | None:
        operators = [key for key in entries if key in OPERATORS]
        unknown = [key for key in entries if key not in _WORDS]
        for key in unknown:
            kind = "operator" if "field" in entries else "key"
            self._reading.refuse(
                entries[key].line, f"unknown {kind} '{key}'{near_name(key, _WORDS)}"
            )
        if unknown:
            return None
        if "field" not in entries:
            self._reading.refuse(line, "a condition needs a 'field'")
        if not operators:
            self._reading.refuse(line, "a condition needs an operator, such as 'equals'")
        for extra in operators[1:]:
            self._reading.refuse(
                entries[extra].line,
                f"one operator per condition: '{extra}' stands beside '{operators[0]}'",
            )
        if "field" not in entries or len(operators) != 1:
            return None
        operator = Operator(operators[0])
        field = self._reading.read_field(entries["field"], "field")
        operand = self._read_operand(operator, entries[operator])
        if field is None or operand is None:
            return None
        condition = Condition(field, operator, operand)
        self._reading.keep_line(condition, line)
        return condition

    def _read_operand(self, operator: Operator, node: Node) -> Operand | None:
        possible_on = OPERATORS[operator].possible_on
        if self._operations is not None and not self._operations & possible_on:
            possible = ", ".join(sorted(possible_on))
            self._reading.refuse(
                node.line, f"'{operator}' can never hold here: 'on' must name one of {possible}"
            )
        return read_operand(self._reading, operator, node)
