"""Nothing lost, nothing doubled, whatever the order and whatever fails: by seeds, in memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.planted import BUGS, Bug, planted, unfenced
from tests.simulation.watch import Broken
from tests.simulation.world import run

SEED_COUNT = 500
PER_TEST_COUNT = 100
# A planted bug shows within so many seeds.
MAX_SEEDS = 80


@pytest.mark.parametrize("first", range(0, SEED_COUNT, PER_TEST_COUNT))
def test_every_promise_holds_for_every_seed(first: int) -> None:
    for seed in range(first, first + PER_TEST_COUNT):
        run(seed).require_whole()


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    def trace(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert trace("1") == trace("2")
    assert run(7).digest in trace("3")
    assert run(7).digest != run(8).digest


def broken_seed(seeds: tuple[int, ...]) -> str:
    """Return what the first seed that breaks a promise prints, nothing if none does."""
    for seed in (*seeds, *range(MAX_SEEDS)):
        one = run(seed)
        if one.broken:
            with pytest.raises(Broken, match=f"make simulate SEED={seed}") as told:
                one.require_whole()
            return str(told.value)
    return ""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_seen(bug: Bug) -> None:
    with planted(bug):
        assert bug.promise in broken_seed(bug.seeds)


def test_a_claim_without_its_fence_is_seen() -> None:
    with unfenced():
        assert broken_seed(())
