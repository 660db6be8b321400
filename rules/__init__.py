"""The rule language: model, compile, evaluate, explain. Pure: no I/O and no clock."""

from rules.compile import CompiledRule, compile_rule, conditions_of
from rules.explain import explain, explain_match
from rules.match import Call, Effect, Enroll, Evidence, Exit, Match, Traced, Verdicts, Waiting
from rules.mistakes import Mistake, RuleError
from rules.model import (
    MAX_LOOKUPS,
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    MissingParent,
    Not,
    Operator,
    QuietHours,
    ReEnroll,
    RemoveFromSequence,
    Rule,
    Sequence,
    Target,
    Webhook,
)
from rules.moment import Moment
from rules.parse import Document, parse_documents, parse_rules
from rules.paths import Climb, Path, object_of, parent_objects
from rules.ruleset import RuleSet
from rules.schema import rule_schema
from rules.states import Parent, States

__all__ = [
    "MAX_LOOKUPS",
    "AddToSequence",
    "AllOf",
    "AnyOf",
    "Call",
    "Climb",
    "CompiledRule",
    "Condition",
    "Document",
    "Effect",
    "Enroll",
    "Evidence",
    "Exit",
    "Match",
    "MissingParent",
    "Mistake",
    "Moment",
    "Not",
    "Operator",
    "Parent",
    "Path",
    "QuietHours",
    "ReEnroll",
    "RemoveFromSequence",
    "Rule",
    "RuleError",
    "RuleSet",
    "Sequence",
    "States",
    "Target",
    "Traced",
    "Verdicts",
    "Waiting",
    "Webhook",
    "compile_rule",
    "conditions_of",
    "explain",
    "explain_match",
    "object_of",
    "parent_objects",
    "parse_documents",
    "parse_rules",
    "rule_schema",
]
