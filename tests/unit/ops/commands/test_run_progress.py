from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ops.bulk_runs import BulkRun, RunKind, RunState
from ops.commands.run_progress import counts, ending


def run(kind: RunKind, cursor: dict[str, Any], state: RunState = RunState.RUNNING) -> BulkRun:
    return BulkRun(
        id=7,
        kind=kind,
        state=state,
        created_by="ana",
        created_at="2026-05-01T12:00:00Z",
        parameters={},
        cursor=cursor,
        total_count=None,
        done_count=3,
        skipped_count=0,
        failed_count=0,
        rate_per_s=1,
        driven_by=None,
        error=None,
        settled_at=None,
    )


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ("found", "3 done, waits for transactions that began before it"),
        ("told", "3 done, waits for the relay to tell targets of the exits"),
        ("letters", "3 done"),
    ],
)
def test_a_run_that_forgets_somebody_says_what_it_waits_for(phase: str, told: str) -> None:
    assert counts(run(RunKind.FORGET, {"phase": phase})) == told
    assert counts(run(RunKind.DEAD_DISCARD, {"phase": phase})) == "3 done"


@pytest.mark.parametrize("state", [one for one in RunState if one is not RunState.RUNNING])
def test_a_run_that_does_not_run_waits_for_nothing(state: RunState) -> None:
    ended = ending(run(RunKind.FORGET, {"phase": "told"}, state))
    assert ended.startswith(f"run 7 is {state}: 3 done")
    assert "waits" not in ended


def test_a_run_that_is_not_over_says_who_drives_it_or_how_it_goes_on() -> None:
    left = run(RunKind.DEAD_REPLAY, {})
    assert ending(left) == (
        "run 7 is running: 3 done; nobody drives it: `penstock runs resume 7` goes on"
    )
    driven = msgspec.structs.replace(left, driven_by="ana@desk pid 12")
    assert ending(driven) == "run 7 is running: 3 done; ana@desk pid 12 drives it"
