"""Trying rules on the history of changes, without effect."""

from ops.rule_trial.report import ReplayTrial, RuleTrial, Trial
from ops.rule_trial.trial import (
    LastDay,
    Tried,
    enrolments_of_last_day,
    read_documents,
    try_replay,
    try_rules,
)

__all__ = [
    "LastDay",
    "ReplayTrial",
    "RuleTrial",
    "Trial",
    "Tried",
    "enrolments_of_last_day",
    "read_documents",
    "try_replay",
    "try_rules",
]
