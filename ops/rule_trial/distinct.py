"""Telling many things apart in bounded memory."""

from __future__ import annotations

from typing import Final

# Of all rules of a trial together; each costs about 80 bytes.
MAX_DISTINCT_COUNT: Final = 2_000_000


class Room:
    """How many more things may be kept."""

    def __init__(self, left: int = MAX_DISTINCT_COUNT) -> None:
        self.left = left


class Distinct:
    """A set of texts, of which 64-bit hashes are kept. `is_cut`: there was no room for some."""

    def __init__(self, room: Room) -> None:
        self.is_cut = False
        self._room = room
        self._hashes: set[int] = set()

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, text: str) -> bool:
        """Add a text; tell whether it is new. What there is no room for counts as known."""
        own = hash(text)
        if own in self._hashes:
            return False
        if self._room.left <= 0:
            self.is_cut = True
            return False
        self._room.left -= 1
        self._hashes.add(own)
        return True
