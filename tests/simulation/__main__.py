"""`make simulate`: many seeds, or one again."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.watch import Broken
from tests.simulation.world import run


def main() -> int:
    """Run seeds; print what repeats each that breaks a promise. Return 1 if any did."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone, with all its events")
    told = parser.parse_args()
    if told.seed is not None:
        one = run(told.seed)
        sys.stdout.write("\n".join(one.events) + f"\ntrace {one.digest}\n")
        sys.stdout.write("\n".join(f"BROKEN {promise}" for promise in one.broken) + "\n")
        return 1 if one.broken else 0
    began_s = time.perf_counter()
    broken_count = 0
    for seed in range(told.first, told.first + told.seeds):
        try:
            run(seed).require_whole()
        except Broken as error:
            broken_count += 1
            sys.stdout.write(f"{error}\n\n")
    took_s = time.perf_counter() - began_s
    sys.stdout.write(f"{told.seeds} seeds in {took_s:.0f} s: {broken_count} broke a promise\n")
    return 1 if broken_count else 0


if __name__ == "__main__":
    sys.exit(main())
