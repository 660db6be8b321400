"""Forgetting a person: planned, then erased in steps; a tombstone keeps what is erased from coming.

Lock order and dedupe hold beside running workers because what could bring the person back is gone,
and every transaction that could have read it is over, before what came of it is erased.
"""

from ops.forget.kept import ForgottenCount, Kept, again, count, kept, lacking
from ops.forget.plan import ForgetPlan, Person, begin, named, plan, require_rights
from ops.forget.run import told_of_wait, work

__all__ = [
    "ForgetPlan",
    "ForgottenCount",
    "Kept",
    "Person",
    "again",
    "begin",
    "count",
    "kept",
    "lacking",
    "named",
    "plan",
    "require_rights",
    "told_of_wait",
    "work",
]
