"""Choices that make an input: drawn by Hypothesis, or read from the bytes that a fuzzer mutates."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_BYTE: Final = 256


class Choices(Protocol):
    """Where choices come from. The first of several is the plain one: an input without any."""

    def number(self, count: int) -> int:
        """Return a number from 0 to `count` - 1."""

    def rest(self) -> bytes:
        """Return bytes of any kind: all that are left."""


def one_of(choices: Choices, among: Sequence[T]) -> T:
    """Return one of several."""
    return among[choices.number(len(among))]


def seldom(choices: Choices, one_in: int = 16) -> bool:
    """Tell whether to do what makes an input odd."""
    return choices.number(one_in) == one_in - 1


class FromBytes:
    """Reads choices from a fuzzer's bytes, of which it learns which matter; then the plain ones."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def number(self, count: int) -> int:
        """Read one byte, or two if there is more to choose from."""
        size = 1 if count <= _BYTE else 2
        piece = self._content[self._place : self._place + size]
        self._place += size
        return int.from_bytes(piece, "big") % count

    def rest(self) -> bytes:
        """Read all that is left."""
        piece, self._place = self._content[self._place :], len(self._content)
        return piece


class FromSeed:
    """Draws choices from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, count: int) -> int:
        """Draw a number."""
        return self._random.randrange(count)

    def rest(self) -> bytes:
        """Draw up to 200 bytes."""
        return self._random.randbytes(self._random.randrange(200))
