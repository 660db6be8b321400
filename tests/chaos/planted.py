"""`python -m tests.chaos.planted BUG worker …`: a process with a bug of the simulator's planted."""

from __future__ import annotations

import sys

from ops.__main__ import main
from tests.simulation.planted import BUGS, planted
from tests.starting import AFRESH, Fresh


def start_with(bug: str) -> Fresh:
    """Return what starts the processes: with a bug, if one is named.

    Raises:
        ValueError: there is none of that name.
    """
    if not bug:
        return AFRESH
    if bug not in {one.name for one in BUGS}:
        raise ValueError(f"no bug {bug!r}; there are {', '.join(one.name for one in BUGS)}")
    return Fresh(("-m", "tests.chaos.planted", bug))


if __name__ == "__main__":
    name = sys.argv.pop(1)
    (bug,) = (one for one in BUGS if one.name == name)
    with planted(bug):
        main()
