from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from ops.stack import Child, ChildFailed, Supervised, Supervisor
from ops.stack.processes import identity_of, is_running
from tests.servers import processes_in, until

if TYPE_CHECKING:
    from pathlib import Path

# Ready once its file exists; on SIGTERM says in which order it was stopped.
PATIENT = """
import pathlib, signal, sys
def end(*_):
    with open("order", "a") as order:
        order.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1] + ".ready").touch()
signal.pause()
"""
DEAF = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path(sys.argv[1] + ".asked").touch())
subprocess.Popen(["sleep", "600"])
pathlib.Path(sys.argv[1] + ".ready").touch()
while True:
    signal.pause()
"""


def child(
    folder: Path,
    name: str,
    program: str = PATIENT,
    *,
    ready_timeout_s: float = 20,
    stop_timeout_s: float = 20,
) -> Child:
    async def ready() -> bool:
        return (folder / f"{name}.ready").exists()

    return Child(
        name=name,
        argv=[sys.executable, "-c", program, name],
        env={"PENSTOCK_DATABASE__URL": "postgresql://u:hidden@h/d"},
        log_path=folder / f"{name}.log",
        ready=ready,
        ready_timeout_s=ready_timeout_s,
        stop_timeout_s=stop_timeout_s,
    )


async def until_said(said: asyncio.Queue[str]) -> str:
    async with asyncio.timeout(20):
        return await said.get()


async def test_a_child_that_dies_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor(said.put_nowait)
    (worker,) = await supervisor.start(child(tmp_path, "worker"))
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    line = await until_said(said)
    assert line.startswith("worker died (signal 9); started again after 0.")
    assert worker.pid not in (None, first)
    await supervisor.stop()
    assert processes_in(tmp_path) == {}
    assert said.empty()


async def test_a_child_that_keeps_failing_is_tried_ever_more_seldom(tmp_path: Path) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor(said.put_nowait)
    until_broken = "import os, sys\nif os.path.exists('broken'): sys.exit(3)\n" + PATIENT
    (worker,) = await supervisor.start(child(tmp_path, "worker", until_broken))
    (tmp_path / "broken").touch()
    (tmp_path / "worker.ready").unlink()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    lines = [await until_said(said) for _ in range(2)]
    await supervisor.stop()
    assert [line.rpartition(" in ")[2] for line in lines] == ["1 s", "2 s"]
    assert "exited (status 3)" in lines[0]
    assert str(tmp_path / "worker.log") in lines[0]


async def test_groups_stop_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    supervisor = Supervisor(pytest.fail)
    for name in ("relay", "worker", "ingest"):
        await supervisor.start(child(tmp_path, name))
    await supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["ingest", "worker", "relay"]


async def test_a_deaf_child_and_its_own_children_are_killed_at_the_deadline(tmp_path: Path) -> None:
    supervisor = Supervisor(pytest.fail)
    (deaf,) = await supervisor.start(child(tmp_path, "deaf", DEAF, stop_timeout_s=0.3))
    assert len(processes_in(tmp_path)) == 2
    await supervisor.stop()
    assert deaf.pid is None
    assert processes_in(tmp_path) == {}


async def test_a_cancelled_stop_leaves_nothing_running(tmp_path: Path) -> None:
    supervised = Supervised(child(tmp_path, "deaf", DEAF))
    await supervised.start()
    pid = supervised.pid
    assert pid is not None
    stopping = asyncio.create_task(supervised.stop())
    await until((tmp_path / "deaf.asked").exists)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert identity_of(pid) is None


async def test_a_child_that_ends_at_its_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broken = child(tmp_path, "worker", "print('no such queue'); raise SystemExit(2)")
    with pytest.raises(ChildFailed, match=r"worker exited \(status 2\) at its start") as caught:
        await Supervised(broken).start()
    assert "no such queue" in str(caught.value)


async def test_a_child_that_is_never_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    slow = child(tmp_path, "worker", "import signal; signal.pause()", ready_timeout_s=0.3)
    with pytest.raises(ChildFailed, match=r"worker was not ready within 0.3 s"):
        await Supervised(slow).start()
    assert processes_in(tmp_path) == {}


async def test_a_child_has_its_own_session_so_that_ctrl_c_passes_it_by(tmp_path: Path) -> None:
    supervised = Supervised(child(tmp_path, "worker"))
    await supervised.start()
    pid = supervised.pid
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)
    await supervised.stop()


async def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.integration.ops.stack.test_children import child
from ops.stack import Supervised
async def main():
    supervised = Supervised(child(Path({str(tmp_path)!r}), "worker"))
    await supervised.start()
    print(supervised.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    identity = identity_of(pid)
    assert identity is not None
    process.kill()
    await process.wait()
    # Its successor waits for it.
    (tmp_path / "worker.ready").unlink()
    successor = Supervised(child(tmp_path, "worker"))
    await successor.start()
    assert not is_running(identity)
    assert (tmp_path / "order").read_text().split() == ["worker"]
    await successor.stop()


def test_a_childs_environment_is_not_shown(tmp_path: Path) -> None:
    assert "hidden" not in repr(child(tmp_path, "worker"))
