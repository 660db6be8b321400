"""Word for the target of what differs: an outbox row for each add and each exit, in order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from workers.enrollments.fold import Added, Counted, Exited, Folded, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection

# (org, sequence, recipient).
EnrollmentKey: TypeAlias = tuple[str, str, str]

# What is joined is looked up row by row: a table without statistics would be read whole.
# Leave word once for each generation and kind; return what is new. What was superseded is told
# after all. What was delivered is told again if the other kind, of whichever generation, undid it:
# an exit also if an add may undo it yet, since nobody knows what became of that. An add that an
# exit may undo yet is left to the relay, which looks once the exit is settled.
# Word that is told again stands behind all that is under way, as if it were new: nobody has it any
# more who had it before. Its key is one that the target does not know yet, unless nothing undid it.
# An exit goes where its add went.
# Who was forgotten and is enrolled anew begins at the first generation again: under another key.
_INSERT_OUTBOX: Final = """
    INSERT INTO outbox (enrollment_id, generation, kind, org_id, sequence, recipient, rule,
                        idempotency_key, target)
    SELECT told.enrollment_id, told.generation, told.kind, told.org_id, told.sequence,
           told.recipient, told.rule,
           told.idempotency_key
               || coalesce('_' || floor(extract(epoch FROM anew.forgotten_at)), ''),
           coalesce(added.target, sequence.target, 'webhook')
    FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::text[], $8::text[]) WITH ORDINALITY
        AS told (enrollment_id, generation, kind, org_id, sequence, recipient, rule,
                 idempotency_key, place)
    LEFT JOIN sequence USING (org_id, sequence)
    LEFT JOIN LATERAL (
        SELECT target FROM outbox
        WHERE told.kind = 'exit' AND kind = 'add'
          AND (enrollment_id, generation) = (told.enrollment_id, told.generation)
        LIMIT 1) AS added ON true
    LEFT JOIN tombstone AS anew ON anew.org_id = told.org_id
        AND anew.mark = penstock_address_mark(told.org_id, told.recipient)
    ORDER BY place
    ON CONFLICT (enrollment_id, generation, kind) DO UPDATE
    SET outbox_id = DEFAULT, attempts = 0, created_at = now(),
        state = CASE
            WHEN outbox.state = 'superseded' AND outbox.last_error LIKE 'held: %' THEN 'held'
            ELSE 'open'
        END,
        due_at = now(), settled_at = NULL, rule = excluded.rule,
        idempotency_key = CASE
            WHEN outbox.state = 'delivered' OR outbox.unanswered AND EXISTS (
                SELECT FROM outbox AS other
                WHERE other.enrollment_id = outbox.enrollment_id AND other.kind <> outbox.kind
                  AND other.outbox_id > outbox.outbox_id
                  AND (other.state = 'delivered' OR other.unanswered))
                THEN excluded.idempotency_key || '_' || outbox.outbox_id
            ELSE outbox.idempotency_key
        END
    WHERE outbox.state = 'superseded' OR outbox.state = 'delivered' AND EXISTS (
        SELECT FROM outbox AS other
        WHERE other.enrollment_id = outbox.enrollment_id AND other.target = outbox.target
          AND other.kind <> outbox.kind
          AND (other.state = 'delivered' OR other.kind = 'add' AND other.unanswered)
          AND (coalesce(other.settled_at, 'infinity'), other.outbox_id) > ALL (
              SELECT own.settled_at, own.outbox_id FROM outbox AS own
              WHERE own.enrollment_id = outbox.enrollment_id AND own.target = outbox.target
                AND own.kind = outbox.kind AND own.state = 'delivered'))
    RETURNING outbox_id, enrollment_id, generation, kind, (xmax = 0) AS is_new"""

# Nobody waits any more for a held row whose generation is over or was taken back; the rows after it
# do. Word that is not held is left to the relay, which may just be passing it on.
_DROP_HELD: Final = """
    UPDATE outbox SET state = 'superseded', settled_at = now()
    FROM unnest($1::bigint[], $2::integer[], $3::integer[])
        AS stands (enrollment_id, generation, exited_generation)
    WHERE outbox.enrollment_id = stands.enrollment_id AND outbox.state = 'held'
      AND (outbox.generation > stands.generation
           OR outbox.generation <= stands.exited_generation)"""


class Enrolled(NamedTuple):
    """A generation that there was not before, with its outbox row and the add that made it."""

    org_id: str
    outbox_id: int
    event: Added


class Word(NamedTuple):
    """One add or exit to be told."""

    enrollment_id: int
    key: EnrollmentKey
    step: Counted | Exited


def difference(stood: Standing, folded: Folded) -> list[Counted | Exited]:
    """Return what a target that knows of `stood` has to be told, in order.

    An exit that later generations followed, all of them told already, is not: told now it would
    undo them. Who was enrolled by a generation that was taken back, and by none that is left, exits
    from it: by no rule, since nothing that is kept says so.
    """
    stands = folded.standing
    told: list[Counted | Exited] = []
    for step in folded.steps:
        match step:
            case Counted(generation=generation):
                is_taken_up_again = stands.exited_generation < generation <= stood.exited_generation
                if generation > stood.generation or is_taken_up_again:
                    told.append(step)
            case Exited(generation=generation):
                is_followed_by_what_was_told = generation < min(stood.generation, stands.generation)
                if generation != stood.exited_generation and not is_followed_by_what_was_told:
                    told.append(step)
            case _:
                assert_never(step)
    is_taken_back = stood.generation > stands.generation
    is_out = is_taken_back and stood.is_enrolled and not stands.is_enrolled
    if is_out and not any(isinstance(step, Exited) for step in told):
        told.append(Exited(stood.generation, None))
    return told


async def drop_held(connection: Connection, over: Sequence[tuple[int, Standing]]) -> None:
    """Drop what is held for enrolments (by id) that exited or lost a generation."""
    if over:
        rows = [(enrollment_id, *standing[:2]) for enrollment_id, standing in over]
        await connection.execute(_DROP_HELD, *map(list, zip(*rows, strict=True)))


async def tell(connection: Connection, words: Sequence[Word]) -> list[Enrolled]:
    """Write the outbox rows, in the order given; return the generations that are new."""
    if not words:
        return []
    rows = [
        (
            word.enrollment_id,
            word.step.generation,
            "add" if isinstance(word.step, Counted) else "exit",
            *word.key,
            word.step.event.rule if isinstance(word.step, Counted) else word.step.rule,
            idempotency_key(word.key, word.step),
        )
        for word in words
    ]
    told = await connection.fetch(_INSERT_OUTBOX, *map(list, zip(*rows, strict=True)))
    new = {(row["enrollment_id"], row["generation"]): row for row in told if row["kind"] == "add"}
    return [
        Enrolled(word.key[0], row["outbox_id"], word.step.event)
        for word in words
        if isinstance(word.step, Counted)
        and (row := new.get((word.enrollment_id, word.step.generation))) is not None
        and row["is_new"]
    ]


def idempotency_key(key: EnrollmentKey, step: Counted | Exited) -> str:
    """Return the key by which a target tells a repeated delivery from a new one."""
    text = "\x00".join((*key, str(step.generation)))
    suffix = "" if isinstance(step, Counted) else "_exit"
    return "enr_" + hashlib.sha256(text.encode()).hexdigest()[:40] + suffix
