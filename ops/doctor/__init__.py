"""Looking at everything that Penstock stands on, without changing anything."""

from ops.doctor.examine import CHECKS, examine
from ops.doctor.finding import Finding, State

__all__ = ["CHECKS", "Finding", "State", "examine"]
