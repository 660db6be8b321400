"""Which of a batch can never be worked off, found by halves within the batch's own transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import Kind, classify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.database import Connection

T = TypeVar("T")


async def find_failing(
    connection: Connection,
    batch: Sequence[T],
    work: Callable[[Connection, Sequence[T]], Awaitable[object]],
) -> list[tuple[T, Exception]]:
    """Halve around what `work` fails on for good until it stands alone.

    Each trial is rolled back, and with it its locks: halves that kept theirs would take tables and
    rows out of order and deadlock with other batches.

    Raises:
        Exception: what `classify` does not call permanent.
    """
    if not batch:
        return []
    trial = connection.transaction()
    await trial.start()
    try:
        await work(connection, batch)
    except Exception as error:
        await trial.rollback()
        if classify(error) is not Kind.PERMANENT:
            raise
        if len(batch) == 1:
            return [(batch[0], error)]
    else:
        await trial.rollback()
        return []
    middle = len(batch) // 2
    return [
        *await find_failing(connection, batch[:middle], work),
        *await find_failing(connection, batch[middle:], work),
    ]
