from __future__ import annotations

import pytest

from ingest.backlog import Backlog
from ingest.problems import Problem
from pipeline.objects import SObject
from pipeline.progress import Mark, Report
from tests.unit.ingest.flood import Flood, Worker

QUIET = "quiet"
NOISY = ("noisy 1", "noisy 2", "noisy 3")


def offers(rate: float) -> dict[str, float]:
    """Return what comes in a second: from each of three noisy orgs as much as workers do."""
    return {QUIET: 5.0, **dict.fromkeys(NOISY, rate)}


def longest_wait_s(flood: Flood, org_id: str = QUIET) -> float:
    return max(flood.waits_ms[org_id]) / 1000


@pytest.mark.parametrize(
    ("rates", "ingest_count"), [((2000.0,), 1), ((700.0, 700.0, 600.0), 1), ((1000.0, 1000.0), 3)]
)
def test_a_quiet_org_does_not_wait_behind_noisy_ones(
    rates: tuple[float, ...], ingest_count: int
) -> None:
    flood = Flood(*rates, ingest_count=ingest_count)
    flood.run(20, offers(sum(rates)))
    assert flood.refused[QUIET] == 0
    assert longest_wait_s(flood) <= 5
    assert all(flood.refused[org_id] for org_id in NOISY)
    # Workers never run dry, and no noisy one has more of them than another.
    assert flood.committed.total() >= 0.9 * sum(rates) * 18
    shares = [flood.committed[org_id] for org_id in NOISY]
    assert max(shares) <= 1.4 * min(shares)
    assert all(1 <= (problem.retry_after_s or 0) <= 10 for problem in flood.problems)


def test_ten_seconds_after_the_flood_all_is_as_before() -> None:
    flood = Flood(2000.0)
    flood.run(10, offers(2000.0))
    flood.run(10)
    assert flood.waiting_count == 0
    flood.refused.clear()
    flood.waits_ms.clear()
    flood.run(5, {NOISY[0]: 500.0})
    assert not flood.refused
    assert longest_wait_s(flood, NOISY[0]) < 0.5


def test_one_org_alone_has_all_of_the_workers() -> None:
    flood = Flood(2000.0)
    flood.run(20, {NOISY[0]: 50.0}, change_count=200)
    assert flood.refused[NOISY[0]]
    assert flood.committed.total() >= 0.95 * 2000 * 19


def test_a_short_burst_is_taken_whole() -> None:
    flood = Flood(2000.0)
    flood.run(2, {NOISY[0]: 10.0, QUIET: 10.0})
    flood.run(1, {NOISY[0]: 5000.0, QUIET: 10.0})
    flood.run(5, {NOISY[0]: 10.0, QUIET: 10.0})
    assert not flood.refused


def test_nobody_is_refused_while_no_worker_works() -> None:
    flood = Flood()
    flood.run(15, offers(2000.0))
    assert not flood.refused
    flood.workers.append(Worker(2000.0))
    flood.run(60)
    assert flood.waiting_count == 0


def test_an_outage_is_worked_off_without_refusing_who_sends_as_ever() -> None:
    flood = Flood(2000.0)
    usual = {NOISY[0]: 600.0, **{f"small {number}": 20.0 for number in range(10)}}
    flood.run(5, usual)
    flood.workers[0].per_s = 0
    flood.run(30, usual)
    flood.workers[0].per_s = 2000
    flood.run(40, usual)
    assert not flood.refused
    flood.run(2)
    assert flood.waiting_count == 0


def test_what_an_outage_left_is_worked_off_amid_a_flood() -> None:
    flood = Flood(2000.0)
    flood.run(5, offers(500.0))
    flood.workers[0].per_s = 0
    flood.run(15, offers(500.0))
    flood.workers[0].per_s = 2000
    flood.run(30, offers(2000.0))
    flood.waits_ms.clear()
    flood.run(5, offers(2000.0))
    assert longest_wait_s(flood) <= 5


def test_lost_reports_and_workers_do_not_matter() -> None:
    flood = Flood(1000.0, 1000.0, lost=0.5)
    flood.run(10, offers(2000.0))
    flood.kill(flood.workers[0])
    flood.workers.append(Worker(1000.0))
    flood.run(15, offers(2000.0))
    assert flood.refused[QUIET] == 0
    assert longest_wait_s(flood) <= 6
    flood.run(8)
    assert flood.waiting_count == 0


def test_what_a_worker_held_that_died_makes_nobody_wait_for_ever() -> None:
    flood = Flood(1000.0, 1000.0)
    usual = {QUIET: 5.0, NOISY[0]: 500.0}
    flood.run(5, usual)
    # It is stuck with what it holds, and then it is gone.
    flood.workers[0].per_s = 0
    flood.run(1, usual)
    flood.kill(flood.workers[0])
    flood.run(8, usual)
    flood.refused.clear()
    flood.run(10, usual)
    assert not flood.refused


def test_how_far_workers_are_with_one_object_says_nothing_of_another() -> None:
    now_ms = began_ms = 1_000_000
    backlog = Backlog(3.0, "ingest", lambda: now_ms)
    backlog.published(SObject.LEAD, backlog.admit(NOISY[0], SObject.LEAD, 1000))
    for step in range(20):
        now_ms += 100
        behind = Mark("ingest", SObject.LEAD, began_ms, began_ms)
        at_once = Mark("ingest", SObject.TASK, now_ms, None)
        settled = {SObject.LEAD: 10 * step, SObject.TASK: step}
        backlog.hear(Report("worker", settled, [behind, at_once]))
    backlog.check(QUIET)
    with pytest.raises(Problem, match="Lead"):
        backlog.check(NOISY[0])


def test_switched_off_it_refuses_nobody() -> None:
    flood = Flood(500.0, backlog_s=0)
    flood.run(5, offers(2000.0))
    assert not flood.refused
