"""Lines for terminals of 100 columns."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH: Final = 100


def folded(text: str, indent: int) -> Iterator[str]:
    """Fold a line at blanks; a word that is longer than a line is left whole, to be copied."""
    yield from wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def times(count: int, what: str) -> str:
    """Return `1 change`, `2 changes`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
