"""`String.format`: what Java's MessageFormat does with quotes and `{0}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import throw
from tests.apex_runtime.language.text import value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value


def formatted(session: Session, template: str, args: Sequence[Value]) -> str:
    """Put arguments in the places that name them; `''` is a quote, `'…'` is taken as it is."""
    out: list[str] = []
    place = 0
    quoted = False
    while place < len(template):
        letter = template[place]
        if letter == "'":
            if template[place + 1 : place + 2] == "'":
                out.append("'")
                place += 1
            else:
                quoted = not quoted
        elif letter == "{" and not quoted:
            end = template.find("}", place)
            number = template[place + 1 : end] if end > 0 else ""
            if not number.isdigit():
                throw("StringException", f"can't parse argument number: {number}")
            index = int(number)
            out.append(value_text(session, args[index]) if index < len(args) else f"{{{index}}}")
            place = end
        else:
            out.append(letter)
        place += 1
    return "".join(out)
