"""`penstock up` as a newcomer runs it: in an empty folder, with nothing configured."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from ops.stack.ports import free_port
from tests.servers import open_folder, processes_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REPOSITORY: Final = Path(__file__).parents[2]
_TIMEOUT_S: Final = 60.0
# For machines without curl, which nothing else here needs: it posts what the hint has it post.
CURL_STAND_IN: Final = r"""
curl() { python3 - "$@" <<'END'
import sys, urllib.request
_, *words, url = sys.argv
headers = [words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H"]
body = words[words.index("--data-binary") + 1].encode()
request = urllib.request.Request(url, body, dict(headers), method="POST")
print(urllib.request.urlopen(request).read().decode(), end="")
END
}
"""
ENROLLED: Final = re.compile(
    r"→ (\S+@\S+) is in sequence (\S+?),? (\d+) ms after the callout arrived[^\n]*\n"
    r" +rule (\S+) v1: (.+)"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as opened:
        yield opened


class Up:
    """A `penstock up` under way, and what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until_printed(self, text: str, *, after: int = 0) -> str:
        """Return what was printed once it contains `text`."""
        async with asyncio.timeout(_TIMEOUT_S):
            while text not in self.printed[after:]:
                assert self.process.stdout is not None
                piece = await self.process.stdout.read(65536)
                assert piece, f"it ended:\n{self.printed}"
                self.printed += piece.decode()
        return self.printed

    async def ended(self) -> int:
        """Return the exit code, with everything printed."""
        async with asyncio.timeout(_TIMEOUT_S):
            rest, _ = await self.process.communicate()
        self.printed += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


def environment() -> dict[str, str]:
    return {
        **{name: v for name, v in os.environ.items() if not name.startswith("PENSTOCK_")},
        "PYTHONPATH": str(REPOSITORY),
        # Others may run on this machine, too.
        "PENSTOCK_INGEST__PORT": str(free_port()),
        "PENSTOCK_INGEST__ADMIN_PORT": str(free_port()),
        "PENSTOCK_CONSOLE__PORT": str(free_port()),
    }


@asynccontextmanager
async def up(folder: Path, *options: str) -> AsyncIterator[Up]:
    """Run `penstock up` in a folder; it is ended with the block whatever happens in it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops",
        "up",
        *options,
        cwd=folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Up(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await running.ended()


async def test_once_tells_who_was_enrolled_why_and_how_fast_and_leaves_nothing_running(
    folder: Path,
) -> None:
    for run in ("first", "second"):
        async with up(folder, "--once", "--seed", "7") as once:
            assert await once.ended() == 0, once.printed
        assert processes_in(folder) == {}, run

        told = ENROLLED.findall(once.printed)
        rules = {rule for _, _, _, rule, _ in told}
        if run == "first":
            assert {"hot-leads-to-nurture", "welcome-new-contacts"} <= rules, once.printed
            assert all(int(ms) < 5000 for _, _, ms, _, _ in told)
            assert "Lead update" in once.printed
            assert re.search(r"Status: .* → Qualified", once.printed)
        else:
            # The same people again: they are in their sequences already.
            assert " already\n" in once.printed
        assert re.search(r"\n\d+ enrolments; \d+ changes of other objects", once.printed)
        assert once.printed.endswith("Stopped; nothing is left running.\n")


async def test_it_stays_up_mends_itself_takes_a_pasted_callout_and_ends_with_ctrl_c(
    folder: Path,
) -> None:
    async with up(folder) as running:
        printed = await running.until_printed("; echo\n")

        worker = next(pid for pid, told in processes_in(folder).items() if "ops worker" in told)
        os.kill(worker, signal.SIGKILL)
        printed = await running.until_printed("started again after", after=len(printed))
        assert re.search(r"worker .*(SIGKILL|killed|signal 9).*; started again after", printed)

        link = re.search(r"http://127\.0\.0\.1:\d+/sign-in#pcon_\w+_[\w-]+\n", printed)
        assert link is not None
        async with aiohttp.ClientSession() as browser, browser.get(link[0].strip()) as page:
            assert page.status == 200

        pasted = printed[printed.index("body='") : printed.index("; echo\n")]
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            pasted if shutil.which("curl") else CURL_STAND_IN + pasted,
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await shell.communicate()
        assert answer.startswith(b'{"accepted":1')
        async with asyncio.timeout(_TIMEOUT_S):
            while "you@example.com" not in await enrolled(folder):
                pass

        running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 0
        assert running.printed.endswith("Stopped; nothing is left running.\n")
    assert processes_in(folder) == {}


async def enrolled(folder: Path) -> str:
    """Return what `penstock enrollments list` prints in the folder of the stack."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ops",
        "enrollments",
        "list",
        cwd=folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()
