"""Trying rules on the history of changes, without effect."""

from ops.rule_trial.report import RuleTrial, Trial
from ops.rule_trial.trial import (
    LastDay,
    Tried,
    enrolments_of_last_day,
    read_documents,
    try_rules,
)

__all__ = [
    "LastDay",
    "RuleTrial",
    "Trial",
    "Tried",
    "enrolments_of_last_day",
    "read_documents",
    "try_rules",
]
