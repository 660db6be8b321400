"""Compiled rules against an interpreter that knows nothing of them and minds no speed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.change import Change
from pipeline.objects import Operation, SObject, long_id
from rules.compile import compile_rule
from rules.explain import explain_match
from rules.model import AddToSequence, AllOf, AnyOf, Condition, Not, Operator, Rule

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Clause, Scalar

Record: TypeAlias = "dict[str, Value]"

SHORT_ID = "00Q5g00000HotLd"
FIELDS = ("Status", "STATUS", "Amount", "Email")
TEXTS = (
    "Hot", "HOT", "cold", "7", "7.0", "1e3", "true", "FALSE", "NaN", " 7 ", SHORT_ID,
    SHORT_ID.lower(), long_id(SHORT_ID), "2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:00.000Z",
    "2026-05-01T13:30:00.500+0100", "2026-05-01", "2026-99-01T12:00:00.000Z", "ß", "ss",
)  # fmt: skip
NUMBERS = (0, 1, 7, 1000, Decimal("7.0"), Decimal(-7), Decimal("1E+999999"), Decimal("0.1"))

SCALARS: tuple[Scalar, ...] = (*TEXTS, *NUMBERS, True, False)

scalars = st.sampled_from(SCALARS)
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
        st.text(alphabet="\ud800\udfff\x00a@ ", max_size=8),
        st.integers(),
        st.decimals(),
        st.just(Decimal("sNaN")),
        st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def conditions() -> st.SearchStrategy[Condition]:
    field = st.sampled_from(FIELDS)
    ordered = (Operator.GREATER_THAN, Operator.AT_LEAST, Operator.LESS_THAN, Operator.AT_MOST)
    flags = (Operator.IS_SET, Operator.IS_EMPTY, Operator.CHANGED)
    lists = (Operator.IN, Operator.NOT_IN)
    single = tuple(set(Operator) - {*ordered, *flags, *lists})
    return st.one_of(
        st.builds(Condition, field, st.sampled_from(sorted(single)), scalars),
        st.builds(Condition, field, st.sampled_from(ordered), st.sampled_from((*TEXTS, *NUMBERS))),
        st.builds(Condition, field, st.sampled_from(flags), st.just(value=True)),
        st.builds(
            Condition,
            field,
            st.sampled_from(lists),
            st.lists(scalars, min_size=1, max_size=3).map(tuple),
        ),
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


def changes(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Change]:
    def change(operation: Operation, old: Record, new: Record) -> Change:
        fresh = operation in {Operation.INSERT, Operation.UNDELETE}
        return Change(
            org_id="00D5g000004XyzAEAS",
            object=SObject.LEAD,
            operation=operation,
            record_id=long_id(SHORT_ID),
            capture_id="capture",
            transaction_id="transaction",
            sequence=0,
            captured_at=0,
            actor_id=None,
            old=None if fresh else old,
            new=None if operation is Operation.DELETE else new,
        )

    return st.builds(change, st.sampled_from(Operation), records(values), records(values))


# The reference.


def look_up(field: str, change: Change) -> tuple[Value, Value]:
    old, new = change.old or {}, change.new or {}
    if change.operation is Operation.DELETE:
        new = old
    if field in new or field in old:
        spelling = field
    else:
        alike = [name for name in [*new, *old] if name.lower() == field.lower()]
        spelling = alike[0] if alike else field
    return old.get(spelling), new.get(spelling)


def as_decimal(value: Value) -> Decimal | None:
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def as_datetime(value: Value) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return None


def one_id(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return (len(short), len(long)) == (15, 18) and long.isalnum() and long_id(short) == long


def equal(value: Value, operand: Scalar) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == str(operand).lower()
    if isinstance(value, int | Decimal):
        return as_decimal(operand) == value
    if not isinstance(value, str) or value == "":
        return False
    at = as_datetime(value)
    return (
        value.casefold() == str(operand).casefold()
        or one_id(value, str(operand))
        or (at is not None and at == as_datetime(operand))
    )


def comparable(value: Value, operand: Scalar) -> tuple[Any, Any] | None:
    """Return both as one ordered type, or None where there is no order."""
    if value is None or value == "" or isinstance(value, bool | list | dict):
        return None
    pair: tuple[Any, Any]
    if isinstance(value, str) and isinstance(operand, str):
        pair = as_datetime(value), as_datetime(operand)
        if None in pair:
            pair = value.casefold(), operand.casefold()
    else:
        pair = as_decimal(value), as_decimal(operand)
    return None if None in pair else pair


def unchanged(old: Value, new: Value) -> bool:
    if old is None or old == "":
        return new is None or new == ""
    if type(old) is not type(new) and {type(old), type(new)} != {int, Decimal}:
        return False
    at = as_datetime(old)
    return old == new or (isinstance(old, str) and at is not None and at == as_datetime(new))


def condition_holds(condition: Condition, change: Change) -> bool:
    old, new = look_up(condition.field, change)
    if change.operation is Operation.DELETE:
        old = new
    operand = condition.operand
    operands = operand if isinstance(operand, tuple) else (operand,)
    within = any(equal(new, one) for one in operands)
    was_within = any(equal(old, one) for one in operands)
    pair = comparable(new, operands[0])
    return {
        Operator.EQUALS: within,
        Operator.NOT_EQUALS: not within,
        Operator.IN: within,
        Operator.NOT_IN: not within,
        Operator.IS_SET: new is not None and new != "",
        Operator.IS_EMPTY: new is None or new == "",
        Operator.GREATER_THAN: pair is not None and pair[0] > pair[1],
        Operator.AT_LEAST: pair is not None and pair[0] >= pair[1],
        Operator.LESS_THAN: pair is not None and pair[0] < pair[1],
        Operator.AT_MOST: pair is not None and pair[0] <= pair[1],
        Operator.CHANGED: not unchanged(old, new),
        Operator.CHANGED_FROM: was_within and not within,
        Operator.CHANGED_TO: within and not was_within,
    }[condition.operator]


def clause_holds(clause: Clause, change: Change) -> bool:
    match clause:
        case Condition():
            return condition_holds(clause, change)
        case AllOf():
            return all(clause_holds(inner, change) for inner in clause.clauses)
        case AnyOf():
            return any(clause_holds(inner, change) for inner in clause.clauses)
        case Not():
            return not clause_holds(clause.clause, change)
    assert_never(clause)


@settings(max_examples=1000, deadline=None)
@given(rules, changes(plain_values))
def test_a_compiled_rule_agrees_with_the_reference(rule: Rule, change: Change) -> None:
    expected = all(clause_holds(clause, change) for clause in rule.clauses)
    match = compile_rule(rule, 1).match(change, by_sync_user=False)
    assert (match is not None) is expected
    for evidence in match.evidence if match is not None else ():
        condition = Condition(evidence.field, evidence.operator, evidence.operand)
        assert condition_holds(condition, change) is evidence.verdict


@settings(max_examples=500, deadline=None)
@given(rules, changes(wild_values))
def test_no_record_raises(rule: Rule, change: Change) -> None:
    for negated in (rule, msgspec.structs.replace(rule, clauses=(Not(AllOf(rule.clauses)),))):
        match = compile_rule(negated, 1).match(change, by_sync_user=False)
        if match is not None:
            assert len(explain_match(match)) == len(match.evidence)
            for action in match.actions:
                assert action.recipient is None or action.recipient.encode()
