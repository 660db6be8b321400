"""Upkeep of the tables: partitions made ahead and dropped, rows cleared away in time."""

from workers.upkeep.clear import clear
from workers.upkeep.rules import RULES, Cleared, ClearedElsewhere, Kept

__all__ = ["RULES", "Cleared", "ClearedElsewhere", "Kept", "clear"]
