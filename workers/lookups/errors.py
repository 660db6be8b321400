"""Whether a sweep's failure is a row's own, or an outage that concerns them all."""

from __future__ import annotations

from typing import Final

from pipeline.database import DATABASE_ERRORS
from pipeline.errors import Kind, TransientError, classify

_MAX_CHARS: Final = 2000


def blames_a_row(error: Exception) -> bool:
    """Tell whether trying the row again alone makes sense; an outage is held instead.

    What is neither, such as a mistake in this code, is blamed on the row that it comes up with:
    it must not keep all others waiting.
    """
    is_outage = isinstance(error, (*DATABASE_ERRORS, TransientError))
    return classify(error) is not Kind.TRANSIENT or not is_outage


def told(error: Exception) -> str:
    """Return an error's words as a text column takes them."""
    text = f"{type(error).__name__}: {error}".replace("\x00", "\\u0000")[:_MAX_CHARS]
    return text.encode("utf-8", "backslashreplace").decode()
