from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.mistakes import RuleError
from rules.parse import parse_documents, parse_rules
from rules.source import (
    MAX_DEPTH,
    MAX_TEXT_CHARACTERS,
    Content,
    Node,
    read_documents,
)


def plain(node: Node) -> object:
    """Return the node's content without lines."""
    if isinstance(node.content, list):
        return [plain(item) for item in node.content]
    if isinstance(node.content, dict):
        return {key: plain(value) for key, value in node.content.items()}
    return node.content


def read_one(text: str) -> object:
    documents, mistakes = read_documents(text, "rules.yaml")
    assert mistakes == []
    assert len(documents) == 1
    return plain(documents[0].node)


def mistakes_of(text: str) -> list[str]:
    return [str(mistake) for mistake in read_documents(text, "rules.yaml")[1]]


def test_on_yes_and_no_stay_text() -> None:
    assert read_one("{on: [yes, no, off, y, n]}") == {"on": ["yes", "no", "off", "y", "n"]}


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("1.10", Decimal("1.10")),
        ("12345678901234567890.123456789", Decimal("12345678901234567890.123456789")),
        ("1e3", Decimal(1000)),
        ("02134", "02134"),
        ("+15551234567", "+15551234567"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        (".nan", ".nan"),
        ("2026-05-01", "2026-05-01"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("null", None),
        ("~", None),
    ],
)
def test_a_scalar_is_what_json_would_call_it_else_text(text: str, content: Content) -> None:
    read = read_one(f"value: {text}")
    assert read == {"value": content}
    assert isinstance(read, dict)
    assert type(read["value"]) is type(content)


def test_a_decimal_keeps_its_digits() -> None:
    assert str(read_one("- 1.500")) == "[Decimal('1.500')]"


def test_several_documents_know_their_lines() -> None:
    documents, _ = read_documents("a: 1\n---\n# note\nb:\n  c\n---\n", "rules.yaml")
    assert [document.node.line for document in documents] == [1, 4]
    inner = documents[1].node.content
    assert isinstance(inner, dict)
    assert inner["b"].line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "rules.yaml:3: key 'a' appears twice; first on line 1"),
        ("a: &x 1", "rules.yaml:1: anchors such as '&x' are not allowed"),
        ("a: 1\nb: *x", "rules.yaml:2: aliases such as '*x' are not allowed"),
        (
            "a: !!str 1",
            "rules.yaml:1: tags such as 'tag:yaml.org,2002:str' are not allowed; quotes make text",
        ),
        ("? [1]\n: 2", "rules.yaml:1: a key must be plain text"),
        ('a: "\\u0000"', "rules.yaml:1: text holds a character that cannot be stored"),
        ('a: "\\ud800"', "rules.yaml:1: text holds a character that cannot be stored"),
        (
            "a: 1e99999999999999999999",
            "rules.yaml:1: the number 1e99999999999999999999 is out of range",
        ),
        ("a: " + "9" * 101, "rules.yaml:1: a number of more than 100 characters"),
        ("a: 1\nb: \x00", "rules.yaml:2: a control character, which YAML does not allow"),
        ('a: "\\UFFFFFFFF"', "rules.yaml:1: not YAML: a number or an escape is out of range"),
    ],
)
def test_what_the_language_does_not_take_is_refused(text: str, message: str) -> None:
    assert mistakes_of(text) == [message]


def test_broken_yaml_is_told_with_its_line_and_spares_what_stands_before() -> None:
    documents, mistakes = read_documents("a: 1\n---\nb: [1\nc: 2\n", "rules.yaml")
    assert [plain(document.node) for document in documents] == [{"a": 1}]
    assert len(mistakes) == 1
    assert mistakes[0].line == 4
    assert mistakes[0].message.startswith("not YAML: ")


def test_nesting_is_bounded() -> None:
    assert mistakes_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    deep = 100_000
    assert mistakes_of("[" * deep) == [f"rules.yaml:1: nested deeper than {MAX_DEPTH} levels"]


def test_length_is_bounded() -> None:
    (mistake,) = mistakes_of("#" * (MAX_TEXT_CHARACTERS + 1))
    assert "split it into several files" in mistake


@given(
    st.text(
        alphabet=st.sampled_from(list("ab:-[]{}\n \t'\"&*!|>%#?,\\uUx0\x00\ud800")), max_size=60
    )
)
def test_no_text_fails_otherwise_than_with_mistakes(text: str) -> None:
    try:
        parse_rules(text, "rules.yaml")
    except RuleError as error:
        mistakes = error.mistakes
    else:
        return
    assert mistakes
    assert all(str(mistake).encode() for mistake in mistakes)


INDENTED = """
  rule: a
  object: Lead
  on: [insert]
  then:
    - {add_to_sequence: nurture, recipient: Email}
"""
BLOCK = """rule: b
object: Lead
on: [insert]
then:
  - recipient: Email
    add_to_sequence: |+
      kept to its end

"""


@pytest.mark.parametrize(
    "texts",
    [
        (INDENTED,),
        (BLOCK,),
        (INDENTED, BLOCK),
        (BLOCK, INDENTED),
        ("# a comment\n", INDENTED),
        (BLOCK, "", "# nothing\n"),
    ],
)
def test_a_document_that_is_split_off_is_the_rule_that_was_read(texts: tuple[str, ...]) -> None:
    text = "---\n".join(texts)
    documents = parse_documents(text, "f")
    assert [parse_rules(one.text, "f") for one in documents] == [[one.content] for one in documents]
