"""How many files, connections among them, this process may have open."""

from __future__ import annotations

import resource

from pipeline.settings import SettingsError


def allow_open_files(count: int) -> None:
    """Have the system allow so many, if it allows fewer now and can.

    Raises:
        SettingsError: it does not, whatever this process asks for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SettingsError(
            f"PENSTOCK_INGEST__MAX_CONNECTIONS: takes {count:,} open files, and the system allows"
            f" this process {hard:,} (ulimit -Hn): raise its limit, or lower the setting"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
