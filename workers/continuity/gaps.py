"""Gaps: found in a change's own transaction, and kept in it until it is clear what they are.

Whether a change found what the last one left is asked in the statement that writes its record, by
digests of the watched fields: a row of which it is not so stays as it is, locked, to be looked at.

Tables are written in one order: `change`, `record`, `gap`, `record_end`, `opt_out`, what waits and
refers, `firing` and what follows from it. Rows of `gap` are written in the order of their keys;
nobody waits for the lock of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import json_text, metrics
from pipeline.objects import Operation
from workers.continuity.links import links
from workers.continuity.stored import read_unwritten
from workers.continuity.values import differences
from workers.continuity.watched import WatchedByOrg
from workers.history import upsert_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.database import Connection
    from workers.continuity.links import Link, State
    from workers.continuity.values import Difference
    from workers.continuity.watched import WatchedFields
    from workers.history import ChangeKey, RecordKey
    from workers.received import ReceivedChange

_INSERT: Final = """
    INSERT INTO gap (org_id, record_id, captured_at, capture_id, sequence, object, stored_at,
                     stored_sequence, stored_capture_id, stored_transaction_id, stored, fields,
                     due_at)
    SELECT *, clock_timestamp() + make_interval(secs => $13)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::integer[], $6::text[],
                $7::bigint[], $8::integer[], $9::text[], $10::text[], $11::jsonb[], $12::jsonb[])
    ON CONFLICT DO NOTHING"""
_FIND_COVERED: Final = """
    SELECT late.captured_at, late.capture_id, late.record_id, late.org_id
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[])
        AS late (org_id, record_id, captured_at, sequence, capture_id)
    WHERE EXISTS (
        SELECT FROM gap
        WHERE gap.org_id = late.org_id AND gap.record_id = late.record_id
          AND gap.state = 'confirmed' AND gap.captured_at >= late.captured_at
          AND (gap.captured_at, gap.sequence, gap.capture_id)
            > (late.captured_at, late.sequence, late.capture_id)
          AND (gap.stored_at, gap.stored_sequence, gap.stored_capture_id)
            < (late.captured_at, late.sequence, late.capture_id))"""


class Continuity:
    """Brings records up to date with the changes of a worker's batches, and looks what they skip.

    `confirm_s`: how long a gap may be filled. Not to be shared by tasks.
    """

    def __init__(self, *, confirm_s: float) -> None:
        self._confirm_s = confirm_s
        self._watched = WatchedByOrg()

    async def upsert(
        self, connection: Connection, changes: Sequence[ReceivedChange], epoch: int | None
    ) -> frozenset[ChangeKey]:
        """Write `changes`, which are new to the history, or readings, to `record`; keep gaps.

        Return the changes that fill a gap too late for the rules. `epoch` is None if none is a
        change.
        """
        if epoch is None:
            await upsert_records(connection, changes)
            return frozenset()
        await self._watched.turn_to(epoch, connection)
        first = changes[0]
        self._watched.of(first.org_id, first.object).learn(first.state)
        chains = _chains(changes)
        digests = {key: self._digests(chain) for key, chain in chains.items()}
        newest = [chain[-1] for chain in chains.values()]
        stored: dict[RecordKey, State] = {}
        if not await upsert_records(connection, newest, digests):
            # Only now is anything read: of records that are locked, and still as they were.
            stored = await read_unwritten(connection, newest)
            await upsert_records(
                connection,
                [chains[key][-1] for key in stored],
                {key: (None, digests[key][1]) for key in stored},
            )
        await self._keep(connection, [*self._broken(chains, stored)])
        return await _find_covered(
            connection,
            [
                change
                for key, state in stored.items()
                for change in chains[key]
                if change.reading is None and change.order < state.order
            ],
        )

    def _digests(self, chain: Sequence[ReceivedChange]) -> tuple[int | None, int | None]:
        """Return the digests of what a chain says was before it, and of what it leaves."""
        first, last = chain[0], chain[-1]
        fields = self._watched.of(first.org_id, first.object)
        before = first.old if first.operation is Operation.UPDATE else None
        return (
            None if before is None else fields.digest(before),
            None if last.new is None else fields.digest(last.new),
        )

    def _broken(
        self,
        chains: Mapping[RecordKey, Sequence[ReceivedChange]],
        stored: Mapping[RecordKey, State],
    ) -> Iterator[tuple[Link, dict[str, Difference]]]:
        for key, chain in chains.items():
            if len(chain) > 1 or key in stored:
                for link in links(stored.get(key), chain):
                    fields = self._watched.of(link.change.org_id, link.change.object)
                    if differs := _differences(fields, link):
                        yield link, differs

    async def _keep(
        self, connection: Connection, gaps: Sequence[tuple[Link, dict[str, Difference]]]
    ) -> None:
        if not gaps:
            return
        rows = sorted(
            (
                link.change.org_id,
                link.change.record_id,
                link.change.captured_at,
                link.change.capture_id,
                link.change.sequence,
                link.change.object.value,
                *link.before.order,
                link.before.transaction_id,
                link.before.fields.decode(),
                json_text.encode_masked(differs),
            )
            for link, differs in gaps
        )
        await connection.execute(_INSERT, *map(list, zip(*rows, strict=True)), self._confirm_s)
        metrics.gaps.labels("suspected").inc(len(rows))


async def _find_covered(
    connection: Connection, late: Sequence[ReceivedChange]
) -> frozenset[ChangeKey]:
    """Return which of `late`, older than what was stored, lie in a gap that is confirmed."""
    if not late:
        return frozenset()
    rows = await connection.fetch(
        _FIND_COVERED,
        [change.org_id for change in late],
        [change.record_id for change in late],
        [change.captured_at for change in late],
        [change.sequence for change in late],
        [change.capture_id for change in late],
    )
    return frozenset(
        (row["captured_at"], row["capture_id"], row["record_id"], row["org_id"]) for row in rows
    )


def _chains(changes: Iterable[ReceivedChange]) -> Mapping[RecordKey, list[ReceivedChange]]:
    """Return the changes of each record, in their order."""
    chains: dict[RecordKey, list[ReceivedChange]] = {}
    for change in changes:
        chains.setdefault((change.org_id, change.record_id), []).append(change)
    for chain in chains.values():
        if len(chain) > 1:
            chain.sort(key=lambda change: change.order)
    return chains


def _differences(fields: WatchedFields, link: Link) -> dict[str, Difference]:
    """Return the fields that count and differ. What cannot be read differs in nothing."""
    old = link.change.old or b"{}"
    if fields.digest(link.before.fields) == (found := fields.digest(old)) and found is not None:
        return {}
    seen_at = link.before.seen_at
    try:
        stored, told = json_text.decode_fields(link.before.fields), json_text.decode_fields(old)
    except (ValueError, RecursionError):
        return {}
    return differences(stored, told, lambda name: fields.counts(name, seen_at))
