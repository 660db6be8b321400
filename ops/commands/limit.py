"""`--limit` of the listings: no row is left out without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_MAX_LIMIT: Final = 2**63 - 1


def one_more(limit: int) -> int:
    """Return how many rows to read so that it shows whether `limit` leaves any out."""
    return min(limit + 1, _MAX_LIMIT)


def first(rows: Sequence[T], limit: int) -> Sequence[T]:
    """Return the first `limit` rows; say so on standard error if that leaves some out."""
    _tell_of_more(len(rows), limit)
    return rows[:limit]


def last(rows: Sequence[T], limit: int) -> Sequence[T]:
    """Return the last `limit` rows; say so on standard error if that leaves some out."""
    _tell_of_more(len(rows), limit)
    return rows[-limit:]


def _tell_of_more(read: int, limit: int) -> None:
    if read > limit:
        click.echo("more rows exist: --limit", err=True)
