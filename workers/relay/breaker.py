"""A circuit breaker: a target that takes nothing is left alone, and tried by one request at times.

| state   | becomes                                                                          |
|---------|----------------------------------------------------------------------------------|
| closed  | open, for 5 s, after 10 answers in a row that only held                          |
| open    | probing, once its pause is over and something is due                             |
| probing | closed after an answer; open again, for twice as long (60 s at most), if held    |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_IN_A_ROW: Final = 10
FIRST_PAUSE_S: Final = 5.0
MAX_PAUSE_S: Final = 60.0


class Closed(NamedTuple):
    """Requests go out; so many of the last ones were held, in a row."""

    held_count: int


class Open(NamedTuple):
    """Nothing goes out until a time on the clock, after a pause that was so long."""

    until_s: float
    pause_s: float


class Probing(NamedTuple):
    """One request is out, which decides."""

    pause_s: float


BreakerState: TypeAlias = Closed | Open | Probing


class Breaker:
    """The state of one target, and what answers make of it."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self.state: BreakerState = Closed(0)

    @property
    def is_ready(self) -> bool:
        """Whether something may be claimed for the target now."""
        match self.state:
            case Closed():
                return True
            case Open(until_s, _):
                return self._clock_s() >= until_s
            case Probing():
                return False
            case _:
                assert_never(self.state)

    def start(self) -> bool:
        """Begin to claim; tell whether it is for a probe, which is one row."""
        if isinstance(self.state, Open):
            self.state = Probing(self.state.pause_s)
        return isinstance(self.state, Probing)

    def answered(self) -> None:
        """Note that the target dealt with a request, whatever it thought of it."""
        self.state = Closed(0)

    def held(self) -> None:
        """Note that the target could not deal with a request."""
        match self.state:
            case Closed(held_count) if held_count + 1 < HELD_IN_A_ROW:
                self.state = Closed(held_count + 1)
            case Closed():
                self.state = self._open(FIRST_PAUSE_S)
            case Probing(pause_s):
                self.state = self._open(min(2 * pause_s, MAX_PAUSE_S))
            case Open():
                pass
            case _:
                assert_never(self.state)

    def not_probed(self) -> None:
        """Note that a probe ended without a request: the next one may try at once."""
        if isinstance(self.state, Probing):
            self.state = Open(self._clock_s(), self.state.pause_s)

    def _open(self, pause_s: float) -> Open:
        return Open(self._clock_s() + pause_s, pause_s)
