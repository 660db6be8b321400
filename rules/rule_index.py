"""Finds the few of many rules that a change can concern, by what their gates need."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from rules.values import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.compile import CompiledRule
    from rules.gate import Gate
    from rules.states import States
    from rules.values import Number

    # A rule and its place in the order of names.
    Placed = tuple[int, CompiledRule]


class _Gated:
    """The rules behind one field: by its text, by its number, by its changing at all."""

    __slots__ = ("by_text", "field", "from_low", "if_changed", "lows")

    def __init__(self, field: str) -> None:
        self.field = field
        self.by_text: dict[str, list[Placed]] = {}
        self.if_changed: list[Placed] = []
        # Side by side, in the order of the lows.
        self.lows: list[Number] = []
        self.from_low: list[Placed] = []

    def add(self, gate: Gate, placed: Placed) -> None:
        """Put a rule behind the field."""
        for text in gate.texts:
            self.by_text.setdefault(text, []).append(placed)
        if gate.low is not None:
            place = bisect_right(self.lows, gate.low)
            self.lows.insert(place, gate.low)
            self.from_low.insert(place, placed)
        elif not gate.texts:
            self.if_changed.append(placed)

    def candidates(self, states: States) -> Iterable[Placed]:
        """Yield the rules that the field lets through."""
        if self.if_changed and states.has_changed(self.field):
            yield from self.if_changed
        new = states.pair(self.field)[1]
        if self.by_text and isinstance(new, str):
            yield from self.by_text.get(new.casefold(), ())
        if self.lows and (number := number_of(new)) is not None:
            yield from self.from_low[: bisect_right(self.lows, number)]


class RuleIndex:
    """Rules of one object and operation, in the order of their names."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self._always: list[Placed] = []
        gated: dict[str, _Gated] = {}
        for placed in enumerate(rules):
            gate = placed[1].gate
            if gate is None:
                self._always.append(placed)
                continue
            gated.setdefault(gate.field, _Gated(gate.field)).add(gate, placed)
        self._gated = tuple(gated.values())

    def candidates(self, states: States) -> list[CompiledRule]:
        """Return every rule that could match, in order."""
        found = list(self._always)
        for behind in self._gated:
            found.extend(behind.candidates(states))
        if len(found) > len(self._always):
            found.sort(key=_place)
        return [rule for _, rule in found]


def _place(placed: Placed) -> int:
    return placed[0]
