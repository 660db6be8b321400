"""Claiming and settling outbox rows, each in a short transaction; no delivery happens inside one.

A claim is a lease: the row is due again once it runs out. Its fence is the attempt that took it,
so a relay that comes back late from a delivery cannot settle another's.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from workers.relay import sql
from workers.relay.addresses import suppressible
from workers.relay.claim import Claim, Delayed, RowKind, Send
from workers.relay.second_look import full_day, needs_no_telling, read_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from asyncpg import Record

    from pipeline.database import Connection, Pool

    # (state, generation, exited generation).
    Standing = tuple[str, int, int]
    # (org, sequence, day in the org's time zone).
    SequenceDay = tuple[str, str, date]

# So many pages of rows that have to wait for others are passed in search of one that has not.
_MAX_PAGES: Final = 20


class Outcome(NamedTuple):
    """What became of a claim: its row's state, and its enrolment's if that changes.

    An `open` row is due again in `pause_s`; if `untried`, as if it had not been claimed.
    """

    claim: Claim
    state: str
    error: str | None = None
    enrollment_state: str | None = None
    pause_s: float = 0.0
    untried: bool = False
    unanswered: bool = False


async def due_targets(pool: Pool) -> list[str]:
    """Return the targets for which something is due that nobody stopped."""
    return [row["target"] for row in await pool.fetch(sql.DUE_TARGETS)]


async def claim(pool: Pool, *, limit: int, lease_s: float, target: str = "webhook") -> list[Claim]:
    """Lease up to `limit` rows of a target that are due, and look at each again.

    Rows that have to be put off are, and come with that verdict; all others are the caller's to
    send or settle.
    """
    for _ in range(_MAX_PAGES):
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(sql.CLAIM, target, limit, lease_s)
            claimed = [row for row in rows if not row["is_put_back"]]
            if claimed:
                return await _look_again(connection, claimed)
        if not rows:
            break
    return []


async def settle(pool: Pool, outcomes: Sequence[Outcome]) -> None:
    """Write what became of claims; those that another relay has by now are left alone."""
    if outcomes:
        async with pool.acquire() as connection, connection.transaction():
            await _settle(connection, outcomes)


async def delivered(pool: Pool, *done: Claim) -> None:
    """Settle rows that the target took; the enrolments that they add are active."""
    await settle(pool, [delivery(claim) for claim in done])


async def superseded(pool: Pool, *done: Claim) -> None:
    """Settle rows that need no telling any more; give back what does again meanwhile."""
    await settle(pool, [supersession(claim) for claim in done])


async def stop_target(pool: Pool, target: str, reason: str) -> None:
    """Send a target nothing more until an operator resumes it."""
    await pool.execute(sql.STOP_TARGET, target, reason)


def delivery(claim: Claim) -> Outcome:
    """Return the outcome of a claim that the target took."""
    return Outcome(claim, "delivered", enrollment_state="active")


def refusal(claim: Claim, error: str) -> Outcome:
    """Return the outcome of a claim that the target will never take."""
    return Outcome(claim, "failed", error, enrollment_state="failed")


def supersession(claim: Claim) -> Outcome:
    """Return the outcome of a claim that needs no telling; it is due again if it does after all."""
    return _unsent(claim, "superseded")


def retry(claim: Claim, error: str, *, pause_s: float, is_known: bool) -> Outcome:
    """Return the outcome of an attempt that was held; `is_known`: the target did not act on it."""
    unanswered = claim.was_unanswered or not is_known
    return Outcome(claim, "open", error, pause_s=pause_s, unanswered=unanswered)


def suppression(claim: Claim, reason: str) -> Outcome:
    """Return the outcome of a claim whose recipient nothing is sent to."""
    return _unsent(claim, "suppressed", reason)._replace(enrollment_state="failed")


def untried(claim: Claim, error: str | None = None) -> Outcome:
    """Return the outcome of a claim that was not even tried: it is due at once."""
    return _unsent(claim, "open", error)


def _unsent(claim: Claim, state: str, error: str | None = None) -> Outcome:
    return Outcome(claim, state, error, untried=True, unanswered=claim.was_unanswered)


async def _look_again(connection: Connection, claimed: Iterable[Record]) -> list[Claim]:
    """Return the claims of rows as everything stands now; put off those that have to be."""
    rows = {row["outbox_id"]: row for row in claimed}
    may_be = [(key, value) for key, row in rows.items() for value in suppressible(row["recipient"])]
    seen = await connection.fetch(
        sql.LOOK, list(rows), [key for key, _ in may_be], [value for _, value in may_be]
    )
    now = datetime.now(UTC)
    claims = [read_claim(row, rows[row["outbox_id"]], now) for row in seen]
    claims.sort(key=lambda claim: claim.outbox_id)
    claims = await _with_places(connection, claims, now)
    delayed = [
        (claim.outbox_id, claim.attempt, late.until, late.delayed_for.value, claim.was_unanswered)
        for claim in claims
        if isinstance(late := claim.verdict, Delayed)
    ]
    if delayed:
        await connection.execute(sql.DELAY, *map(list, zip(*delayed, strict=True)))
    return claims


async def _with_places(
    connection: Connection, claims: Sequence[Claim], now: datetime
) -> list[Claim]:
    """Reserve places in the days of capped sequences; put off what finds none, the newest."""
    wanted = Counter(day for claim in claims if (day := _day(claim)) is not None)
    if not wanted:
        return list(claims)
    taken = await connection.fetch(sql.RESERVE, *_columns(wanted))
    # How many had a place before each claim: at first, before all of these.
    used = {
        (day := (row["org_id"], row["sequence"], row["day"])): row["sent_count"] - wanted[day]
        for row in taken
    }
    placed = []
    over: Counter[SequenceDay] = Counter()
    for claim in claims:
        day = _day(claim)
        if day is None or used[day] < (claim.treatment.daily_cap or 0):
            placed.append(claim)
        else:
            over[day] += 1
            placed.append(msgspec.structs.replace(claim, verdict=full_day(claim, now)))
        if day is not None:
            used[day] += 1
    if over:
        await connection.execute(sql.GIVE_BACK, *_columns(over))
    return placed


async def _settle(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    standing = await _lock_enrollments(connection, outcomes)
    outcomes = [_as_it_stands(one, standing) for one in outcomes]
    settled = await connection.fetch(
        sql.SETTLE,
        [one.claim.outbox_id for one in outcomes],
        [one.claim.attempt for one in outcomes],
        [one.state for one in outcomes],
        [one.error for one in outcomes],
        [one.pause_s for one in outcomes],
        [one.untried for one in outcomes],
        [one.unanswered for one in outcomes],
    )
    ours = {row["outbox_id"] for row in settled}
    done = [one for one in outcomes if one.claim.outbox_id in ours]
    changed = [
        (one.claim.enrollment.enrollment_id, one.claim.generation, one.enrollment_state, one.error)
        for one in done
        if one.claim.enrollment is not None
        and one.enrollment_state is not None
        and one.claim.kind is RowKind.ADD
    ]
    if changed:
        await connection.execute(sql.SETTLE_ENROLLMENTS, *map(list, zip(*changed, strict=True)))
    if undone := [key for one in done if (key := _taken_back(one, standing)) is not None]:
        await connection.execute(sql.TELL_AGAIN, *map(list, zip(*undone, strict=True)))
    if let_in := [end for one in done if (end := _let_in_again(one, standing)) is not None]:
        await connection.execute(sql.EXIT_AGAIN, *map(list, zip(*let_in, strict=True)))
    if closed := [one.claim for one in done if one.state != "open"]:
        await connection.execute(
            sql.WAKE,
            [claim.target for claim in closed],
            [claim.recipient for claim in closed],
        )
    unused = Counter(
        day for one in done if one.state != "delivered" and (day := _day(one.claim)) is not None
    )
    if unused:
        await connection.execute(sql.GIVE_BACK, *_columns(unused))


async def _lock_enrollments(
    connection: Connection, outcomes: Sequence[Outcome]
) -> dict[int, Standing]:
    """Lock the enrolments of rows that are to be closed; return how they stand, by their ids."""
    ids = [
        one.claim.enrollment.enrollment_id
        for one in outcomes
        if one.state != "open" and one.claim.enrollment is not None
    ]
    found = await connection.fetch(sql.LOCK_ENROLLMENTS, ids) if ids else []
    return {row["enrollment_id"]: tuple(row)[1:] for row in found}


def _as_it_stands(one: Outcome, standing: Mapping[int, Standing]) -> Outcome:
    """Keep open what was superseded and needs telling again by now."""
    stands = one.claim.enrollment
    # Whoever was forgotten meanwhile has none any more.
    if one.state != "superseded" or stands is None or stands.enrollment_id not in standing:
        return one
    needs_none = needs_no_telling(one.claim, *standing[stands.enrollment_id])
    return one if needs_none else untried(one.claim)


def _taken_back(one: Outcome, standing: Mapping[int, Standing]) -> tuple[int, int, bool] | None:
    """Return the generation that an exit ended at the target and that is not over.

    With it: whether the target may have it still, as it does if it never got the exit.

    The exit was under way when an older change took it back, or when a later generation was told,
    or nobody knows what became of it.
    """
    heard = _heard(one, standing)
    if one.claim.kind is not RowKind.EXIT or heard is None:
        return None
    enrollment_id, generation, exited_generation = heard
    is_in_doubt = one.state == "superseded"
    is_over = generation <= exited_generation
    return None if is_over else (enrollment_id, generation, is_in_doubt)


def _let_in_again(one: Outcome, standing: Mapping[int, Standing]) -> tuple[int, int] | None:
    """Return the generation that is over and that an add let in again at the target.

    The add had been looked at for the last time when the exit was committed, which was told before.
    """
    heard = _heard(one, standing)
    if one.claim.kind is not RowKind.ADD or heard is None:
        return None
    enrollment_id, generation, exited_generation = heard
    return (enrollment_id, exited_generation) if generation <= exited_generation else None


def _heard(one: Outcome, standing: Mapping[int, Standing]) -> tuple[int, int, int] | None:
    """Return whose row the target has heard of, or may have, and how that enrolment stands."""
    may_have = one.state == "delivered" or (one.state == "superseded" and one.claim.was_unanswered)
    stands = one.claim.enrollment
    # Whoever was forgotten meanwhile has none any more.
    if not may_have or stands is None or stands.enrollment_id not in standing:
        return None
    return (stands.enrollment_id, *standing[stands.enrollment_id][1:])


def _day(claim: Claim) -> SequenceDay | None:
    """Return the day in which a claim has, or wants, a place."""
    if not isinstance(claim.verdict, Send) or claim.verdict.day is None or claim.sequence is None:
        return None
    return (claim.org_id, claim.sequence, claim.verdict.day)


def _columns(days: Counter[SequenceDay]) -> list[list[object]]:
    """Return days and their counts as arrays, in the order of their keys."""
    rows = [(*day, count) for day, count in sorted(days.items())]
    return [list(column) for column in zip(*rows, strict=True)]
