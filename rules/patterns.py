"""Patterns that never backtrack: RE2, which takes time linear in the text, whatever the pattern.

Backreferences and lookarounds are therefore refused. Syntax: RE2's wiki, "Syntax".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import re2  # type: ignore[import-untyped]  # google-re2 comes without types

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PATTERN_CHARACTERS: Final = 1000
# For the program and its states; a pattern that needs more for the program alone is refused.
MAX_PATTERN_BYTES: Final = 4 * 1024 * 1024


class PatternError(ValueError):
    """RE2 refuses a pattern; the message is its reason."""


def whole_match(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a text as a whole matches `pattern`; case counts.

    Text that is not Unicode, since it holds half a surrogate pair, matches nothing.

    Raises:
        PatternError: for what RE2 refuses, and for a pattern that is too long or too large.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"longer than {MAX_PATTERN_CHARACTERS} characters")
    options = re2.Options()
    options.max_mem = MAX_PATTERN_BYTES
    options.never_capture = True  # only the verdict is asked for
    options.log_errors = False  # they are raised
    try:
        compiled = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError as error:
        raise PatternError("not Unicode") from error
    except re2.error as error:
        # RE2 gives its reason as bytes, which quote the pattern's.
        raise PatternError(error.args[0].decode(errors="replace")) from error

    def matches(text: str) -> bool:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            return False
        return compiled.fullmatch(encoded) is not None

    return matches
