"""`make fuzz`: hostile inputs by the million, guided by what they cover; or one again."""

from __future__ import annotations

import argparse
import gzip
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tests.fuzzing.documents import CHARACTERS, MESSAGES, NOT_JSON, NUMBERS, right_document
from tests.fuzzing.target import TARGETS, Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of all inputs, one in so many goes through the whole edge, which takes that much longer.
_EDGE_SHARE: Final = 4
_FAILED: Final = Path("dist/fuzzing")
_GOLDEN: Final = Path(__file__).parent.parent / "conformance" / "golden"
_COVERAGE: Final = re.compile(r"cov: (\d+)")
_MOST_BYTES: Final = 8192
_MOST_MEMORY_MIB: Final = 1024
_TOO_LONG_S: Final = 20
_MIB: Final = 1024 * 1024


class Fuzzed(NamedTuple):
    """What one target came to."""

    target: str
    figures: Figures
    coverage: int
    failed: list[Path]
    log: str


def main() -> int:
    """Fuzz, and print figures. Return 1 if anything did not hold."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="how many inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="what they are drawn from")
    parser.add_argument("--input", type=Path, help="one that failed, again")
    told = parser.parse_args()
    if told.input is not None:
        target = told.input.name.partition("-")[0]
        command = [*_command(target, Path("unused")), "--input", str(told.input)]
        return subprocess.run(command, check=False).returncode  # noqa: S603  our own
    _FAILED.mkdir(parents=True, exist_ok=True)
    edge_count = told.runs // _EDGE_SHARE
    counts = {"edge": edge_count, "decoders": told.runs - edge_count}
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = list(_fuzz(Path(folder), counts, told.seed))
    _print(found, time.monotonic() - began_s, told.seed)
    return 1 if any(one.failed or one.figures.count < counts[one.target] for one in found) else 0


def _fuzz(folder: Path, counts: dict[str, int], seed: int) -> Iterator[Fuzzed]:
    dictionary = folder / "dictionary"
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in _words()))
    began = []
    for target, count in counts.items():
        corpus = folder / target
        corpus.mkdir()
        for place, content in enumerate(_seeds(target)):
            (corpus / str(place)).write_bytes(content)
        figures = folder / f"{target}.json"
        before = set(_FAILED.iterdir())
        log = (folder / f"{target}.log").open("w+")
        options = [
            f"-seed={seed}",
            f"-max_len={_MOST_BYTES}",
            f"-rss_limit_mb={_MOST_MEMORY_MIB}",
            f"-timeout={_TOO_LONG_S}",
            f"-dict={dictionary}",
            f"-artifact_prefix={_FAILED / target}-",
            "-len_control=0",
        ]
        command = [*_command(target, figures), "--runs", str(count), *options, str(corpus)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603  ours
        began.append((target, process, figures, log, before))
    for target, process, figures, log, before in began:
        process.wait()
        log.seek(0)
        text = log.read()
        log.close()
        failed = [path for path in _FAILED.iterdir() if path not in before]
        yield Fuzzed(
            target,
            msgspec.json.decode(figures.read_bytes(), type=Figures)
            if figures.exists()
            else Figures(),
            max((int(one) for one in _COVERAGE.findall(text)), default=0),
            [path for path in failed if path.name.startswith(f"{target}-")],
            text,
        )


def _command(target: str, figures: Path) -> list[str]:
    assert target in TARGETS, target
    return [sys.executable, "-m", "tests.fuzzing.target", target, str(figures)]


def _seeds(target: str) -> Iterator[bytes]:
    """Yield what a fuzzer begins with: for the edge, the plain request of each route."""
    if target == "edge":
        yield from (bytes([route]) + bytes(200) for route in range(10))
        return
    for path in sorted(_GOLDEN.iterdir()):
        yield path.read_bytes()
    for route in MESSAGES:
        yield right_document(route)
        yield gzip.compress(right_document(route), mtime=0)


def _words() -> Iterator[str]:
    yield from (word for word in (*CHARACTERS, *NUMBERS, *NOT_JSON) if 0 < len(word) < 40)
    for route in MESSAGES:
        yield from re.findall(r'"\w+":', right_document(route).decode())


def _escaped(word: str) -> str:
    """Return a word as a fuzzer's dictionary has it: bytes beyond plain text in hexadecimal."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}"
        for byte in word.encode()
    )


def _print(found: list[Fuzzed], took_s: float, seed: int) -> None:
    total = sum(one.figures.count for one in found)
    say = sys.stdout.write
    say(f"{total:,} inputs in {took_s:.0f} s, seed {seed}\n")
    for one in found:
        figures = one.figures
        rate = figures.count / figures.took_s if figures.took_s else 0
        outcomes = ", ".join(f"{name} {n:,}" for name, n in sorted(figures.outcomes.items()))
        server_errors = sum(
            n for name, n in Counter(figures.outcomes).items() if name.startswith("5")
        )
        say(
            f"{one.target}: {figures.count:,} inputs, {rate:,.0f} a second,"
            f" {one.coverage:,} branches covered\n"
            f"  outcomes: {outcomes}\n"
            f"  5xx: {server_errors}\n"
            f"  memory: {figures.memory_start_bytes / _MIB:.0f} MiB at the start,"
            f" {figures.memory_end_bytes / _MIB:.0f} MiB at the end\n"
        )
        for path in one.failed:
            say(f"  FAILED: make fuzz INPUT={path}\n")
        if one.failed or not figures.count:
            say(one.log[-3000:] + "\n")


if __name__ == "__main__":
    sys.exit(main())
