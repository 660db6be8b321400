from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.envelope import NewerEnvelope
from workers import overtaken
from workers.overtaken import FIRST_PAUSE_S, Overtaken


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Have the time be `now_s` of what this returns."""
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(overtaken, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


def test_a_worker_is_overtaken_for_the_pause_and_as_long_again_though_nothing_comes(
    clock: SimpleNamespace,
) -> None:
    worker = Overtaken()
    assert worker.problem() is None
    worker.by(NewerEnvelope(99))
    clock.now_s += 2 * FIRST_PAUSE_S - 1
    assert "envelope version 99" in (worker.problem() or "")
    clock.now_s += 1
    assert worker.problem() is None


def test_pauses_grow_to_an_hour_and_begin_anew_after_what_was_no_problem_any_more(
    clock: SimpleNamespace,
) -> None:
    worker = Overtaken()
    # It meets one as soon as it looks again.
    for pause_s in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        worker.by(NewerEnvelope(99))
        clock.now_s += 2 * pause_s - 1
        assert worker.problem() is not None
    clock.now_s += 1
    worker.by(NewerEnvelope(99))
    clock.now_s += 2 * FIRST_PAUSE_S
    assert worker.problem() is None
