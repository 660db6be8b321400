from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import pytest

from ops.several import run_several
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

# It has no handler of a signal yet, as a worker has none while it starts.
STARTING: Final = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def started() -> bool:
    return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


async def test_processes_that_are_stopped_while_they_start_have_not_failed() -> None:
    code = asyncio.create_task(run_several(STARTING, [os.environ, os.environ]))
    await until(started)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await code == 0


@pytest.mark.parametrize("how", ["exit 3", "exit 0", "kill -TERM $$"])
async def test_one_that_ends_unasked_has_failed(how: str) -> None:
    assert await run_several(("sh", "-c", how), [os.environ]) == 1
