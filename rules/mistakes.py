"""What is wrong with a rule, said so that its author can put it right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Mistake(msgspec.Struct, frozen=True):
    """One mistake: where it stands (lines count from 1) and what it is."""

    source: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.message}"


class RuleError(ValueError):
    """A text of rules is refused; `mistakes` holds all that was found, in the order of lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda one: (one.source, one.line)))
        super().__init__("\n".join(map(str, self.mistakes)))


def near_name(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean '…'?` for the known name nearest to `word`, else the empty string."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f"; did you mean '{by_folded[found[0]]}'?" if found else ""
