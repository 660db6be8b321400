"""Which values of a field pass for an e-mail address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.change import Value

# RFC 3696, erratum 1003 aside: 64 characters, "@", 255 characters.
MAX_ADDRESS_CHARACTERS: Final = 320


def address_of(value: Value) -> str | None:
    """Return the address in `value`, stripped and in lower case, or None if it is not plausible.

    Plausible: text on both sides of a single @, at most 320 characters, none of them a blank, a
    control character or a lone surrogate (which UTF-8 cannot encode).
    """
    if not isinstance(value, str) or len(value) > 2 * MAX_ADDRESS_CHARACTERS:
        return None
    address = value.strip().lower()
    local, _, domain = address.partition("@")
    plausible = (
        local
        and domain
        and "@" not in domain
        and len(address) <= MAX_ADDRESS_CHARACTERS
        and " " not in address
        and address.isprintable()  # false for controls, other blanks and surrogates
    )
    return address if plausible else None
