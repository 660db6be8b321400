"""The index of many rules finds what asking each rule by itself finds."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules.compile import compile_rule
from rules.gate import Gate
from rules.model import AddToSequence, AllOf, AnyOf, Condition, Not, Operator, Rule
from rules.ruleset import RuleSet

TEXTS = (
    "Hot",
    "hot",
    "COLD",
    "7",
    "true",
    "00Q5g00000HotLd",
    "today",
    "7.5",
    "2026-05-01",
    "ß",
    "SS",
)
FIELDS = ("Status", "status", "Amount")

values = st.sampled_from((*TEXTS, None, "", 7, Decimal("6.95"), True, False, ["Hot"]))
records = st.dictionaries(st.sampled_from(FIELDS), values, max_size=3)
conditions = st.one_of(
    st.builds(
        Condition,
        st.sampled_from(FIELDS),
        st.sampled_from((Operator.EQUALS, Operator.CHANGED_TO, Operator.CHANGED_FROM)),
        st.sampled_from(TEXTS),
    ),
    st.builds(
        Condition,
        st.sampled_from(FIELDS),
        st.just(Operator.IN),
        st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(Condition, st.sampled_from(FIELDS), st.just(Operator.CHANGED), st.just(value=True)),
)
clauses = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=4,
)
rules = st.lists(st.lists(clauses, max_size=3).map(tuple), max_size=6)


@settings(max_examples=400)
@given(rules, st.sampled_from(Operation), records, records)
def test_the_index_leaves_out_no_rule_that_matches(
    whens: list[tuple[Condition, ...]],
    operation: Operation,
    old: dict[str, str],
    new: dict[str, str],
) -> None:
    compiled = [
        compile_rule(
            Rule(
                name=f"r{number}",
                object=SObject.LEAD,
                operations=frozenset(Operation),
                actions=(AddToSequence("nurture", "Email"),),
                clauses=when,
            ),
            1,
        )
        for number, when in enumerate(whens)
    ]
    fresh = operation in {Operation.INSERT, Operation.UNDELETE, Operation.SNAPSHOT}
    change = Change(
        org_id="00D5g000004XyzAEAS",
        object=SObject.LEAD,
        operation=operation,
        record_id="00Q5g00000HotLdEAJ",
        capture_id="capture",
        transaction_id="transaction",
        sequence=0,
        captured_at=0,
        actor_id=None,
        old=None if fresh else old,
        new=None if operation is Operation.DELETE else new,
    )
    expected = [rule.match(change, by_sync_user=False) for rule in compiled]
    found = RuleSet(compiled).evaluate(change, by_sync_user=False).matches
    assert list(found) == [match for match in expected if match is not None]


def gate(*when: Condition | AllOf | AnyOf) -> Gate | None:
    rule = Rule(
        name="a",
        object=SObject.LEAD,
        operations=frozenset(Operation),
        actions=(AddToSequence("nurture", "Email"),),
        clauses=when,
    )
    return compile_rule(rule, 1).gate


def test_the_narrowest_necessary_condition_is_the_gate() -> None:
    changed = Condition("Rating", Operator.CHANGED, operand=True)
    becomes = Condition("Status", Operator.CHANGED_TO, "Qualified")
    named = Condition("Country", Operator.IN, ("France", "Spain"))
    assert gate(changed, named) == Gate(
        "Country", changes=False, texts=frozenset({"france", "spain"})
    )
    assert gate(changed, AllOf((named, becomes))) == Gate(
        "Status", changes=True, texts=frozenset({"qualified"})
    )
    assert gate(changed) == Gate("Rating", changes=True)
    assert gate(Condition("Amount", Operator.AT_LEAST, 7)) == Gate("Amount", changes=False, low=7)
    assert gate(Condition("Amount", Operator.AT_LEAST, "7")) is None


def test_what_may_equal_more_than_its_text_is_no_gate_by_text() -> None:
    for operand in ("7", "true", "00Q5g00000HotLd", "2026-05-01", 7, True):
        assert gate(Condition("Status", Operator.EQUALS, operand)) is None
    assert gate(AnyOf((Condition("Status", Operator.EQUALS, "Hot"),))) is None
    assert gate(Condition("Account.Industry", Operator.EQUALS, "Hot")) is None
