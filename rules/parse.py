"""From YAML text to documents - rules, sequences -, or to everything that is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.objects import Operation, SObject
from rules.actions import read_action
from rules.clauses import ClauseReader
from rules.mistakes import RuleError
from rules.model import (
    DEFAULT_CEILING,
    DEFAULT_MAX_AGE_S,
    MissingParent,
    Rule,
    Sequence,
)
from rules.reading import Reading
from rules.sequences import read_sequence
from rules.source import read_documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.source import Node, SourceDocument

MAX_NAME_CHARACTERS: Final = 100

_NAME: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_REQUIRED_RULE_KEYS: Final = ("rule", "object", "on", "then")
_RULE_KEYS: Final = (
    *_REQUIRED_RULE_KEYS,
    "when",
    "include_sync_user",
    "max_age",
    "ceiling",
    "missing_parent",
)


class Document(NamedTuple):
    """A rule or a sequence, where it begins, and its own text as it is to be kept.

    `lines`: the line on which a condition, or the text of a field, path or sequence, first stands.
    """

    content: Rule | Sequence
    line: int
    lines: Mapping[object, int]
    text: str


def parse_rules(text: str, source: str) -> list[Rule]:
    """Return the rules of `text`, one a YAML document, in order.

    `source` names the text in messages, usually a file's name.

    Raises:
        RuleError: with every mistake that was found, or for a text without any rule.
    """
    found = parse_documents(text, source)
    rules = [document.content for document in found if isinstance(document.content, Rule)]
    if not rules:
        reading = Reading(source, [])
        reading.refuse(1, "no rule found")
        raise RuleError(reading.mistakes)
    return rules


def parse_documents(text: str, source: str) -> list[Document]:
    """Return the rules and sequences of `text`, one a YAML document, in order.

    Raises:
        RuleError: with every mistake that was found, or for a text without any document.
    """
    documents, mistakes = read_documents(text, source)
    if not documents and not mistakes:
        Reading(source, mistakes).refuse(1, "no rule found")
    found = [_read_document(source, document) for document in documents]
    for document in found:
        mistakes += document.reading.mistakes
    _check_names(Reading(source, mistakes), [document.node for document in documents])
    if mistakes:
        raise RuleError(mistakes)
    return [
        Document(one.content, document.node.line, one.reading.lines, document.text)
        for one, document in zip(found, documents, strict=True)
        if one.content is not None
    ]


class _ReadDocument(NamedTuple):
    content: Rule | Sequence | None
    reading: Reading


def _read_document(source: str, document: SourceDocument) -> _ReadDocument:
    reading = Reading(source, [])
    content = document.node.content
    if isinstance(content, dict) and "sequence" in content and "rule" not in content:
        return _ReadDocument(read_sequence(reading, document.node, content), reading)
    return _ReadDocument(_read_rule(reading, document.node), reading)


def _check_names(reading: Reading, documents: list[Node]) -> None:
    first_lines: dict[tuple[str, str], int] = {}
    for document in documents:
        content = document.content if isinstance(document.content, dict) else {}
        kind = "sequence" if "sequence" in content and "rule" not in content else "rule"
        name = content.get(kind)
        if name is None or not isinstance(name.content, str):
            continue
        first = first_lines.setdefault((kind, name.content), name.line)
        if first != name.line:
            reading.refuse(name.line, f"a {kind} '{name.content}' stands on line {first} already")


def _read_rule(reading: Reading, document: Node) -> Rule | None:
    entries = reading.read_mapping(document, "a rule")
    if entries is None:
        return None
    reading.check_keys(entries, known=_RULE_KEYS, required=_REQUIRED_RULE_KEYS, line=document.line)
    name = _read_name(reading, entries["rule"]) if "rule" in entries else None
    object_ = (
        reading.read_choice(entries["object"], SObject, "object") if "object" in entries else None
    )
    operations = _read_operations(reading, entries["on"]) if "on" in entries else None
    when = reading.read_list(entries["when"], "'when'") if "when" in entries else None
    clauses = ClauseReader(reading, operations).read_clauses(when or ())
    then = reading.read_filled_list(entries["then"], "'then'") if "then" in entries else None
    actions = [read_action(reading, node) for node in then or ()]
    include = reading.read_flag_or(entries, "include_sync_user", default=False)
    max_age = reading.read_duration_s_or(entries, "max_age", default=DEFAULT_MAX_AGE_S)
    ceiling = reading.read_count_or(entries, "ceiling", default=DEFAULT_CEILING)
    missing_parent = (
        reading.read_choice(entries["missing_parent"], MissingParent, "'missing_parent'")
        if "missing_parent" in entries
        else MissingParent.WAIT
    )
    if name is None or object_ is None or operations is None or missing_parent is None:
        return None
    return Rule(
        name=name,
        object=object_,
        operations=operations,
        actions=tuple(action for action in actions if action is not None),
        clauses=clauses,
        include_sync_user=include,
        max_age=max_age,
        ceiling=ceiling,
        missing_parent=missing_parent,
    )


def _read_name(reading: Reading, node: Node) -> str | None:
    name = reading.read_text(node, "'rule'")
    if name is None or (_NAME.fullmatch(name) and len(name) <= MAX_NAME_CHARACTERS):
        return name
    reading.refuse(
        node.line,
        f"a rule's name is up to {MAX_NAME_CHARACTERS} lower-case letters, digits and single"
        f" '-' or '_' between them, such as 'hot-leads'; this is '{name}'",
    )
    return None


def _read_operations(reading: Reading, node: Node) -> frozenset[Operation] | None:
    nodes = reading.read_filled_list(node, "'on'")
    if nodes is None:
        return None
    operations = [reading.read_choice(item, Operation, "operation") for item in nodes]
    known = frozenset(operation for operation in operations if operation is not None)
    return known if len(known) > 0 and None not in operations else None
