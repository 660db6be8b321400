"""Random rules, and changes whose values lie where verdicts turn."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from pipeline.change import Change
from pipeline.objects import Operation, SObject, long_id
from rules.model import AddToSequence, AllOf, AnyOf, Condition, Not, Operator, Rule
from tests.unit.rules.reference.interpreter import EPOCH, Situation, as_point

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Clause, Operand, Scalar

Record: TypeAlias = "dict[str, Value]"

LAST_MS = 253_402_300_799_999
# Days on which clocks change: by an hour, by half of one, at midnight, by a whole day.
CLOCK_CHANGES = tuple(
    (date.fromisoformat(day), ZoneInfo(zone))
    for day, zone in (
        ("2026-03-08", "America/New_York"),
        ("2026-11-01", "America/New_York"),
        ("2026-03-29", "Europe/Berlin"),
        ("2026-10-25", "Europe/Berlin"),
        ("2026-09-06", "America/Santiago"),
        ("2026-04-05", "Australia/Lord_Howe"),
        ("2011-12-31", "Pacific/Apia"),
    )
)
ZONES = (ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"), *(zone for _, zone in CLOCK_CHANGES))
# Days from which months and years lead to days that are not there.
DAYS = (date(2026, 5, 8), date(2024, 2, 29), date(2026, 3, 31), date(2025, 12, 31))

SHORT_ID = "00Q5g00000HotLd"
FIELDS = ("Status", "STATUS", "Amount", "Email")
TEXTS = (
    "Hot", "HOT", "cold", "7", "7.0", "1e3", "true", "FALSE", "NaN", " 7 ", SHORT_ID,
    SHORT_ID.lower(), long_id(SHORT_ID), "2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:00.000Z",
    "2026-05-01T13:30:00.500+0100", "2026-05-01", "2026-99-01T12:00:00.000Z", "ß", "ss",
    "2026-02-29", "9999-12-31", "0001-01-01", "A;B", "b;a;C", "AB;", "Today",
)  # fmt: skip
NUMBERS = (0, 1, 7, 1000, Decimal("7.0"), Decimal(-7), Decimal("1E+999999"), Decimal("0.1"))
PARTS = ("h", "OT", "7", ";", "ss", "2026-", "T12", "zz")
# Understood alike by RE2 and by Python's engine.
PATTERNS = ("Hot", "(?i)hot", "[0-9]+", ".*", "(A|B|;)*", r"\d{4}-\d\d-\d\d", "H.t|.old", "[^T]+")
MEMBERS: tuple[Operand, ...] = ("A", "b;a", "AB", "A; C", ("C", "A;B"), 7, ("Hot", "7"))
POINTS = (
    "today", "Yesterday", "tomorrow", "now", "0 days ago", "1 day ago", "7 days from now",
    "1 week ago", "2 weeks from now", "1 month ago", "13 months from now", "1 year ago",
    "4 years from now", "1 hour ago", "24 hours from now", "90 minutes ago", "40 years ago",
    "2026-05-01", "2026-03-08", "2026-11-01", "2026-05-01T12:00:00Z", "2026-05-01T14:00:00+0200",
    "2011-12-30", "9999-12-31", "0001-01-01",
)  # fmt: skip

SCALARS: tuple[Scalar, ...] = (*TEXTS, *NUMBERS, True, False)

scalars = st.sampled_from(SCALARS)
zones = st.sampled_from(ZONES)
days_there = st.one_of(
    st.sampled_from(CLOCK_CHANGES),
    st.sampled_from(CLOCK_CHANGES),
    st.tuples(st.sampled_from(DAYS), zones),
)
plain_values: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.just(""),
    st.sampled_from((*TEXTS, *NUMBERS)),
    st.booleans(),
    st.sampled_from(([], ["Hot"], {}, {"Hot": 7})),
)
wild_values: st.SearchStrategy[Value] = st.recursive(
    st.one_of(
        plain_values,
        st.text(alphabet=st.characters(), max_size=30),
        st.text(alphabet="\ud800\udfff\x00a@; ", max_size=8),
        st.integers(),
        st.decimals(),
        st.just(Decimal("sNaN")),
        st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "+0000"),
        st.dates().map(date.isoformat),
        st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}[-+][0-9]{4})?"),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def temporal_values(at_ms: int, zone: ZoneInfo) -> st.SearchStrategy[Value]:
    """Dates and datetimes on the edges of what the relative points name at that moment."""
    at = EPOCH + timedelta(milliseconds=at_ms)
    today = at.astimezone(zone).date()
    far = st.sampled_from((-366, -365, -31, -30, -28, -14, -8, -7, -1, 0, 1, 2, 7, 8, 14, 15, 31))
    near_ms = st.sampled_from((-1, 0, 1))

    def midnight(days: int, off_ms: int) -> datetime:
        local = datetime.combine(today + timedelta(days=days), time(), zone)
        return local.astimezone(UTC) + timedelta(milliseconds=off_ms)

    def moved(minutes: int, off_ms: int) -> datetime:
        return at + timedelta(minutes=minutes, milliseconds=off_ms)

    instants = st.builds(midnight, far, near_ms) | st.builds(
        moved, st.sampled_from((-90, -60, 0, 24 * 60)), near_ms
    )
    return st.one_of(
        far.map(lambda days: (today + timedelta(days=days)).isoformat()),
        instants.map(lambda one: one.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    )


def pair(ends: tuple[Any, Any]) -> tuple[Any, Any]:
    return (min(ends), max(ends))


POINT = st.just("today") | st.sampled_from(POINTS)
TRUE = st.just(value=True)
ORDERED = st.sampled_from((*TEXTS, *NUMBERS)) | POINT
PART = st.sampled_from((*PARTS, *TEXTS))
SEVERAL = st.lists(scalars, min_size=1, max_size=3).map(tuple)
RANGE = st.tuples(POINT, POINT) | st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)).map(
    pair
)

OPERANDS: dict[Operator, st.SearchStrategy[Any]] = {
    Operator.EQUALS: scalars,
    Operator.NOT_EQUALS: scalars,
    Operator.IN: SEVERAL,
    Operator.NOT_IN: SEVERAL,
    Operator.CONTAINS: PART,
    Operator.NOT_CONTAINS: PART,
    Operator.STARTS_WITH: PART,
    Operator.ENDS_WITH: PART,
    Operator.MATCHES: st.sampled_from(PATTERNS),
    Operator.INCLUDES: st.sampled_from(MEMBERS),
    Operator.EXCLUDES: st.sampled_from(MEMBERS),
    Operator.IS_SET: TRUE,
    Operator.IS_EMPTY: TRUE,
    Operator.GREATER_THAN: ORDERED,
    Operator.AT_LEAST: ORDERED,
    Operator.LESS_THAN: ORDERED,
    Operator.AT_MOST: ORDERED,
    Operator.BETWEEN: RANGE,
    Operator.BEFORE: POINT,
    Operator.AFTER: POINT,
    Operator.CHANGED: TRUE,
    Operator.CHANGED_FROM: scalars,
    Operator.CHANGED_TO: scalars,
    Operator.INCREASED: TRUE,
    Operator.DECREASED: TRUE,
}


# What values turn on where the operator asks only for true.
TURNS: st.SearchStrategy[Scalar] = st.sampled_from(("today", "now", 7, -1, "Hot"))


def conditions() -> st.SearchStrategy[Condition]:
    return st.one_of(
        *(
            st.builds(Condition, st.sampled_from(FIELDS), st.just(operator), operands)
            for operator, operands in OPERANDS.items()
        )
    )


def groups(inner: st.SearchStrategy[Clause]) -> st.SearchStrategy[Clause]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, several), st.builds(AnyOf, several), st.builds(Not, inner))


clauses: st.SearchStrategy[Clause] = st.recursive(conditions(), groups, max_leaves=6)
rules = st.builds(
    lambda when: Rule(
        name="a",
        object=SObject.LEAD,
        operations=frozenset(Operation),
        actions=(AddToSequence("nurture", "Email", {"status": "Status"}),),
        clauses=tuple(when),
    ),
    st.lists(clauses, max_size=3),
)


def records(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Record]:
    names = st.sampled_from((*FIELDS, "status", "amount"))
    return st.dictionaries(names, values, max_size=4)


def change(operation: Operation, old: Record, new: Record, captured_at: int) -> Change:
    fresh = operation in {Operation.INSERT, Operation.UNDELETE, Operation.SNAPSHOT}
    return Change(
        org_id="00D5g000004XyzAEAS",
        object=SObject.LEAD,
        operation=operation,
        record_id=long_id(SHORT_ID),
        capture_id="capture",
        transaction_id="transaction",
        sequence=0,
        captured_at=captured_at,
        actor_id=None,
        old=None if fresh else old,
        new=None if operation is Operation.DELETE else new,
    )


@st.composite
def plain_situations(draw: st.DrawFn) -> Situation:
    """Values that the reference understands, many of them on an edge of a day or an hour."""
    day, zone = draw(days_there)
    local = datetime.combine(day, draw(st.times()), zone)
    captured_at = (local - EPOCH) // timedelta(milliseconds=1)
    values = plain_values | temporal_values(captured_at, zone)
    made = change(
        draw(st.sampled_from(Operation)),
        draw(records(values)),
        draw(records(values)),
        captured_at,
    )
    return Situation(made, zone)


wild_situations = st.builds(
    Situation,
    st.builds(
        change,
        st.sampled_from(Operation),
        records(wild_values),
        records(wild_values),
        st.integers(0, LAST_MS) | st.sampled_from((0, LAST_MS)),
    ),
    zones,
)


def edges(operand: Scalar, at: datetime, zone: ZoneInfo) -> list[Value]:
    """Return values on either side of where an operand's verdict turns."""
    if isinstance(operand, bool):
        return [operand, not operand]
    if isinstance(operand, int | Decimal):
        step = Decimal("0.01")
        return [operand, Decimal(operand) + step, Decimal(operand) - step, str(operand)]
    named = as_point(operand, at, zone)
    if named is None:
        return [
            operand,
            operand.upper(),
            f"x{operand}",
            f"{operand}x",
            f"x;{operand}",
            operand[:-1],
        ]
    if isinstance(named, datetime):
        day, turns = named.astimezone(zone).date(), [named]
    else:
        day = min(max(named, date(2, 1, 1)), date(9998, 12, 31))
        turns = [datetime.combine(day + timedelta(days=n), time(), zone) for n in (0, 1)]
    instants = [
        turn.astimezone(UTC) + timedelta(milliseconds=off) for turn in turns for off in (-1, 0, 1)
    ]
    return [
        *((day + timedelta(days=n)).isoformat() for n in (-1, 0, 1)),
        *(one.isoformat(timespec="milliseconds").replace("+00:00", "Z") for one in instants),
    ]


@st.composite
def pointed_situations(draw: st.DrawFn, operand: Operand) -> Situation:
    """Most values lie on an edge of the operand; where it asks for none, on one of the day."""
    day, zone = draw(days_there)
    local = datetime.combine(day, draw(st.times()), zone)
    captured_at = (local - EPOCH) // timedelta(milliseconds=1)
    at = EPOCH + timedelta(milliseconds=captured_at)
    pointed: tuple[Scalar, ...] = operand if isinstance(operand, tuple) else (operand,)
    if operand is True:
        pointed = (draw(TURNS),)
    around = st.sampled_from([value for one in pointed for value in edges(one, at, zone)])
    mixed = around | plain_values
    old, new = draw(st.tuples(around, around) | st.tuples(mixed, mixed))
    operation = draw(st.sampled_from((Operation.UPDATE, Operation.UPDATE, *Operation)))
    return Situation(change(operation, {"Status": old}, {"Status": new}, captured_at), zone)
