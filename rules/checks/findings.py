"""What checks find in rules that can be read and may not mean what their author wants."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """An error refuses the rules, a warning is told."""

    ERROR = "error"
    WARNING = "warning"


class Finding(msgspec.Struct, frozen=True):
    """One finding: where it stands (lines count from 1) and what it is."""

    severity: Severity
    source: str
    line: int
    message: str

    def __str__(self) -> str:
        mark = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.source}:{self.line}: {mark}{self.message}"
