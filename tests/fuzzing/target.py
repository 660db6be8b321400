"""One process of `make fuzz`: hands a fuzzer's inputs to a target, and counts what comes of them.

Run as a module of its own, since Atheris instruments modules as they are imported and ends the
process that it fuzzes in.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

ROOMS: Final = ("ingest", "pipeline", "workers")
# After so many inputs, or half of them all, every module is imported and every cache is filled.
_WARM_COUNT: Final = 2000
_TELL_EVERY: Final = 500


class Figures(msgspec.Struct):
    """What came of the inputs of one process so far. `outcomes`: statuses, or kinds of content."""

    count: int = 0
    outcomes: dict[str, int] = {}
    memory_start_bytes: int = 0
    memory_end_bytes: int = 0
    took_s: float = 0.0


class Watch:
    """Counts inputs, and writes how it stands for the process that started this one."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._began_s = time.monotonic()
        self._outcomes: Counter[str] = Counter()
        self._figures = Figures()

    def count(self, outcomes: list[str]) -> None:
        """Count one input; end this process after the last."""
        self._outcomes.update(outcomes)
        figures = self._figures
        figures.count += 1
        if figures.count == min(_WARM_COUNT, (self._most + 1) // 2):
            figures.memory_start_bytes = memory_bytes()
        is_last = figures.count >= self._most
        if is_last or figures.count % _TELL_EVERY == 0:
            figures.outcomes = dict(self._outcomes)
            figures.memory_end_bytes = memory_bytes()
            figures.took_s = time.monotonic() - self._began_s
            written = self._path.with_suffix(".new")
            written.write_bytes(msgspec.json.encode(figures))
            written.replace(self._path)
        if is_last:
            # Without the fuzzer's own end, which waits for nothing that matters.
            sys.stderr.flush()
            os._exit(0)


def memory_bytes() -> int:
    """Return what this process holds in memory now."""
    status = Path("/proc/self/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    return int(found["VmRSS"].split()[0]) * 1024


def edge_target() -> Callable[[bytes], list[str]]:
    """Return what sends an input to the whole edge, and judges; it returns the statuses."""
    # Not before they are instrumented.
    from tests.fuzzing.choices import FromBytes
    from tests.fuzzing.edge import FuzzedEdge
    from tests.fuzzing.judge import judge
    from tests.fuzzing.requests import request

    loop = asyncio.new_event_loop()
    edge = FuzzedEdge()
    loop.run_until_complete(edge.open())

    def answer(content: bytes) -> list[str]:
        sent = request(FromBytes(content))
        answers, published = loop.run_until_complete(edge.answers(sent.pieces))
        judge(sent, answers, published)
        assert edge.held_bytes == 0, "what a request held was not given back"
        assert edge.connection_count == 0
        return [str(one.status) for one in answers] or ["none"]

    return answer


def decoders_target() -> Callable[[bytes], list[str]]:
    """Return what reads an input by the decoders alone; it returns what it was."""
    from tests.fuzzing.decoders import judge_decoders

    return lambda content: [judge_decoders(content)]


TARGETS: Final = {"edge": edge_target, "decoders": decoders_target}


def main() -> None:
    """Fuzz until enough, or until something does not hold."""
    parser = argparse.ArgumentParser(prog="tests.fuzzing.target")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("figures", type=Path)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--input", type=Path, help="this one alone, without a fuzzer")
    told, rest = parser.parse_known_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    if told.input is not None:
        outcomes = TARGETS[told.target]()(told.input.read_bytes())
        sys.stdout.write(f"holds: {', '.join(outcomes)}\n")
        return
    import atheris  # installed by `make fuzz` alone

    with atheris.instrument_imports(include=list(ROOMS)) if rest else nullcontext():
        judge = TARGETS[told.target]()
    watch = Watch(told.figures, told.runs)

    def one_input(content: bytes) -> None:
        watch.count(judge(content))

    atheris.Setup([sys.argv[0], *rest], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
