"""The rule language: model, compile, evaluate, explain. Pure: no I/O and no clock."""

from rules.compile import CompiledRule, compile_rule
from rules.explain import explain, explain_match
from rules.match import Enroll, Evidence, Match
from rules.mistakes import Mistake, RuleError
from rules.model import (
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    Not,
    Operator,
    ReEnroll,
    Rule,
)
from rules.parse import parse_rules
from rules.ruleset import RuleSet
from rules.schema import rule_schema
from rules.source import split_documents

__all__ = [
    "AddToSequence",
    "AllOf",
    "AnyOf",
    "CompiledRule",
    "Condition",
    "Enroll",
    "Evidence",
    "Match",
    "Mistake",
    "Not",
    "Operator",
    "ReEnroll",
    "Rule",
    "RuleError",
    "RuleSet",
    "compile_rule",
    "explain",
    "explain_match",
    "parse_rules",
    "rule_schema",
    "split_documents",
]
