"""Bugs that the simulator has to see, planted in the real code for as long as a run goes on."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import textwrap
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

from tests.simulation.statements import HANDLERS
from workers.relay import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE: Final = " AND outbox.attempts = done.attempt"


class Bug(NamedTuple):
    """A change of one function's source: each old text, found once, becomes the new one.

    `seeds` are where to look for it first: what takes a rare fault to show.
    """

    name: str
    module: str
    function: str
    edits: tuple[tuple[str, str], ...]
    promise: str
    seeds: tuple[int, ...] = ()


BUGS: Final = (
    Bug(
        "ack before commit",
        "workers.consume",
        "Consumer._work_on",
        (
            ("await self._settle(rest)", "pass"),
            ("started = time.monotonic()", "await self._settle(rest); started = time.monotonic()"),
        ),
        "settled before its commit",
    ),
    Bug(
        "settle twice",
        "workers.consume",
        "Consumer._settle",
        (("await delivery.message.ack()", "[await delivery.message.ack() for _ in (1, 2)]"),),
        "settled twice",
    ),
    Bug(
        "lost narrowing",
        "workers.processor",
        "Processor._persist_narrowed",
        (("[one for one in batch if one.key not in dead_keys]", "[]"),),
        "settled before its commit",
    ),
    Bug(
        "narrowing that keeps the good half as dead",
        "workers.narrowing",
        "find_failing",
        (
            (
                "if len(batch) == 1:\n            return [(batch[0], error)]",
                "if len(batch) <= 2:\n            return [(one, error) for one in batch]",
            ),
        ),
        "history differ",
    ),
    Bug(
        "non-idempotent firing",
        "workers.enrollments.firings",
        "write_firings",
        (
            (
                "[one.change.transaction_id for one in fired]",
                "[f'{one.change.transaction_id}~{one.change.capture_id}' for one in fired]",
            ),
            ('row["transaction_id"]', 'row["transaction_id"].partition("~")[0]'),
        ),
        "firings differ",
    ),
    Bug(
        "fold in the order of arrival",
        "workers.enrollments.fire",
        "_come_after",
        (("return all(event[:3] > kept.standing.folded for event in events)", "return True"),),
        "enrolments differ",
    ),
    Bug(
        "last arrival wins",
        "workers.history",
        "upsert_records",
        (
            (
                "[change.captured_at for change in rows]",
                "[__import__('time').time_ns() for change in rows]",
            ),
        ),
        "records differ",
    ),
    Bug(
        "settling a cancelled batch",
        "workers.consume",
        "Consumer._work",
        (
            (
                "    finally:\n",
                (
                    "    except asyncio.CancelledError:\n"
                    "            await self._settle(batch)\n"
                    "            raise\n"
                    "        finally:\n"
                ),
            ),
        ),
        "settled",
    ),
    Bug(
        "an end that only one lane hears",
        "workers.consume",
        "Consumer._work",
        (("if ends.near():", "if False:"),),
        "did not drain",
    ),
    Bug(
        "a lane left running when another gave up",
        "workers.consume",
        "Consumer.session",
        (
            ("lane.cancel()", "pass"),
            ("self._busy = Busy()", "pass"),
        ),
        "did not come to rest",
        (158, 941),
    ),
    Bug(
        "a key of its own for each attempt",
        "workers.relay.second_look",
        "read_claim",
        (
            (
                'idempotency_key=row["idempotency_key"]',
                "idempotency_key=f\"{row['idempotency_key']}_{claimed['attempts']}\"",
            ),
        ),
        "nobody left word",
    ),
)


@contextlib.contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Run with the bug in the code."""
    module = importlib.import_module(bug.module)
    *owners, name = bug.function.split(".")
    owner: Any = reduce(getattr, owners, module)
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    for old, new in bug.edits:
        assert source.count(old) == 1, f"{bug.function} has no single {old!r}"
        source = source.replace(old, new)
    scope: dict[str, Any] = {}
    # Annotations stay text, as in the module itself.
    code = compile("from __future__ import annotations\n" + source, bug.function, "exec")
    exec(code, dict(module.__dict__), scope)  # noqa: S102  the code is the project's own
    # Its code rather than its name is what changes: others have imported the function already.
    function = getattr(owner, name)
    sound = function.__code__
    function.__code__ = scope[name].__code__
    try:
        yield
    finally:
        function.__code__ = sound


@contextlib.contextmanager
def unfenced() -> Iterator[None]:
    """Run with claims that have no fence: who comes late settles another's."""
    assert sql.SETTLE.count(_FENCE) == 1
    bare = sql.SETTLE.replace(_FENCE, "")
    with (
        patch.dict(HANDLERS, {bare: HANDLERS[sql.SETTLE]}),
        patch.object(sql, "SETTLE", bare),
    ):
        yield
