"""What a burst left behind, held against what was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.autoscaling.burst import HOT_EVERY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.processes import PenstockProcesses

_BY_CAPTURE: Final = """
    SELECT capture_id, count(*) AS rows, count(DISTINCT record_id) AS records
    FROM change GROUP BY capture_id"""
_COUNTS: Final = """
    SELECT (SELECT count(*) FROM record) AS records,
           (SELECT count(*) FROM firing) AS firings,
           (SELECT count(DISTINCT record_id) FROM firing) AS fired,
           (SELECT count(*) FROM enrollment) AS enrollments,
           (SELECT count(*) FROM outbox) AS outbox,
           (SELECT count(*) FROM dead_letter) AS dead_letters,
           (SELECT count(*) FROM redelivery) AS redeliveries"""


class Kept(NamedTuple):
    """What the database has: rows and records of the history by capture, and counts of tables."""

    captures: Mapping[str, tuple[int, int]]
    counts: Mapping[str, int]


async def kept(penstock: PenstockProcesses) -> Kept:
    """Look."""
    rows = await penstock.fetch(_BY_CAPTURE)
    captures = {row["capture_id"]: (row["rows"], row["records"]) for row in rows}
    (counts,) = await penstock.fetch(_COUNTS)
    return Kept(captures, dict(counts))


def differences(found: Kept, accepted: Mapping[str, range]) -> list[str]:
    """Say what is not as often there as it was accepted, which is once."""
    there = found.captures
    expected = {capture: len(leads) for capture, leads in accepted.items()}
    change_count = sum(expected.values())
    hot_count = sum(_hot_count(leads) for leads in accepted.values())
    wanted = {
        "records": change_count,
        "firings": hot_count,
        "fired": hot_count,
        "enrollments": hot_count,
        "outbox": hot_count,
        "dead_letters": 0,
    }
    return [
        *_told("lost", (one for one in expected if one not in there)),
        *_told("not accepted and there", (one for one in there if one not in expected)),
        *_told(
            "there in part, or more than once",
            (one for one in expected if one in there and there[one] != (expected[one],) * 2),
        ),
        *(
            f"{found.counts[name]} {name} instead of {count}"
            for name, count in wanted.items()
            if found.counts[name] != count
        ),
    ]


def _hot_count(leads: range) -> int:
    return sum(number % HOT_EVERY == 0 for number in leads)


def _told(what: str, captures: Iterable[str]) -> Iterator[str]:
    if some := sorted(captures):
        yield f"{len(some)} captures {what}, {some[0]} first"
