"""What is going to fail, drawn from a seed: nothing but the seed and the minutes decide it."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Seat(StrEnum):
    """What a fault sits on. Two of a round never share a seat."""

    INGEST = "ingest"
    WORKER = "worker"
    RELAY = "relay"
    BROKER = "broker"
    DATABASE = "database"
    TARGET = "target"
    WAY_TO_BROKER = "way to broker"
    WAY_TO_DATABASE = "way to database"
    WAY_TO_TARGET = "way to target"
    CLOCK = "clock"


class Harm(StrEnum):
    """What happens to it."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP"
    TERMINATE = "SIGTERM"
    MEMORY_ALARM = "memory alarm"
    DISK_ALARM = "disk alarm"
    FAST_SHUTDOWN = "fast shutdown"
    IMMEDIATE_SHUTDOWN = "immediate shutdown"
    KILLED_SESSION = "a session's SIGKILL"
    ENDED_SESSIONS = "sessions ended"
    CONNECTION_LIMIT = "connection limit"
    FULL_DISK = "full disk"
    DEADLOCKS = "deadlocks"
    CUT = "cut"
    REFUSED = "cut and refused"
    DELAYED = "delayed"
    THROTTLED = "throttled"
    HALF_CLOSED = "half-closed"
    STALLED = "stalled"
    FORGOTTEN = "forgotten"
    LATE = "answers late"
    NEVER = "answers never"
    TWICE = "answers twice"
    ERRORS = "answers 500 503 429"
    LOST_ANSWERS = "cuts its answers"
    OFF = "10 minutes off"


class Kind(NamedTuple):
    """A kind of fault, and how long one takes: itself, and the seconds that undoing it takes."""

    seat: Seat
    harm: Harm
    duration_s: tuple[float, float]
    undone_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.seat}: {self.harm}"


_PROCESS: Final = ((Harm.KILL, (0.1, 3.0)), (Harm.FREEZE, (0.5, 6.0)), (Harm.TERMINATE, (0.1, 2.0)))
_WAY: Final = (
    (Harm.CUT, (0.2, 0.5)),
    (Harm.REFUSED, (0.5, 6.0)),
    (Harm.DELAYED, (2.0, 6.0)),
    (Harm.THROTTLED, (2.0, 6.0)),
    (Harm.HALF_CLOSED, (0.5, 3.0)),
    (Harm.STALLED, (0.5, 8.0)),
    (Harm.FORGOTTEN, (0.5, 2.0)),
)
KINDS: Final = (
    *(
        Kind(seat, harm, duration_s, 1.5)
        for seat in (Seat.INGEST, Seat.WORKER, Seat.RELAY)
        for harm, duration_s in _PROCESS
    ),
    Kind(Seat.BROKER, Harm.KILL, (0.1, 4.0), 6.0),
    Kind(Seat.BROKER, Harm.FREEZE, (0.5, 8.0)),
    Kind(Seat.BROKER, Harm.TERMINATE, (0.1, 3.0), 8.0),
    Kind(Seat.BROKER, Harm.MEMORY_ALARM, (0.5, 4.0), 2.5),
    Kind(Seat.BROKER, Harm.DISK_ALARM, (0.5, 4.0), 2.5),
    Kind(Seat.DATABASE, Harm.KILL, (0.1, 5.0), 2.0),
    Kind(Seat.DATABASE, Harm.FREEZE, (0.5, 8.0)),
    Kind(Seat.DATABASE, Harm.FAST_SHUTDOWN, (0.1, 5.0), 2.0),
    Kind(Seat.DATABASE, Harm.IMMEDIATE_SHUTDOWN, (0.1, 5.0), 2.0),
    Kind(Seat.DATABASE, Harm.KILLED_SESSION, (0.1, 0.5), 1.0),
    Kind(Seat.DATABASE, Harm.ENDED_SESSIONS, (0.1, 0.5)),
    Kind(Seat.DATABASE, Harm.CONNECTION_LIMIT, (1.0, 6.0)),
    Kind(Seat.DATABASE, Harm.FULL_DISK, (1.0, 6.0)),
    Kind(Seat.DATABASE, Harm.DEADLOCKS, (3.0, 6.0)),
    *(
        Kind(seat, harm, duration_s, 1.0)
        for seat in (Seat.WAY_TO_BROKER, Seat.WAY_TO_DATABASE, Seat.WAY_TO_TARGET)
        for harm, duration_s in _WAY
    ),
    Kind(Seat.TARGET, Harm.LATE, (2.0, 6.0)),
    Kind(Seat.TARGET, Harm.NEVER, (1.0, 6.0), 3.0),
    Kind(Seat.TARGET, Harm.TWICE, (2.0, 5.0)),
    Kind(Seat.TARGET, Harm.ERRORS, (1.0, 5.0), 3.0),
    Kind(Seat.TARGET, Harm.LOST_ANSWERS, (1.0, 5.0), 3.0),
    Kind(Seat.CLOCK, Harm.OFF, (2.0, 8.0)),
)


class Fault(NamedTuple):
    """One fault. `draw` in [0, 1) chooses the victim among several, and how bad it is."""

    kind: Kind
    after_s: float
    duration_s: float
    draw: float

    def __str__(self) -> str:
        return (
            f"{self.kind} after {self.after_s:.1f} s for {self.duration_s:.1f} s ({self.draw:.3f})"
        )


class Round(NamedTuple):
    """Faults that come together, and the calm after all flows again."""

    faults: tuple[Fault, ...]
    calm_s: float

    def __str__(self) -> str:
        return "; ".join(map(str, self.faults)) + f"; calm {self.calm_s:.1f} s"


def draw(seed: int, minutes: float, *, together: int = 2) -> list[Round]:
    """Draw rounds of up to `together` faults that take about `minutes`.

    Kinds are dealt from a shuffled deck: none comes a third time before each came once.
    """
    rng = random.Random(f"plan {seed}")
    deck = _deal(rng)
    rounds: list[Round] = []
    left_s = minutes * 60
    while left_s > 0:
        faults = [_fault(rng, next(deck))]
        while len(faults) < together and rng.random() < 0.4 + 0.15 * together:
            kind = next(deck)
            if kind.seat not in {fault.kind.seat for fault in faults}:
                faults.append(_fault(rng, kind))
        one = Round(tuple(faults), round(0.2 + 1.3 * rng.random(), 1))
        took_s = max(f.after_s + f.duration_s + f.kind.undone_s for f in faults)
        # What recovers in a moment has recovered by then.
        left_s -= took_s + one.calm_s + 1.0
        rounds.append(one)
    return rounds


def _fault(rng: random.Random, kind: Kind) -> Fault:
    after_s, duration_s = rng.random(), rng.uniform(*kind.duration_s)
    return Fault(kind, round(after_s, 1), round(duration_s, 1), round(rng.random(), 3))


def _deal(rng: random.Random) -> Iterator[Kind]:
    while True:
        yield from rng.sample(KINDS, len(KINDS))
