"""From YAML text to rules, or to everything that is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipeline.objects import Operation, SObject
from rules.clauses import ClauseReader
from rules.mistakes import RuleError
from rules.model import MAX_SEQUENCE_CHARACTERS, AddToSequence, ReEnroll, Rule
from rules.reading import Reading
from rules.source import read_documents

if TYPE_CHECKING:
    from rules.model import Action
    from rules.source import Node

MAX_NAME_CHARACTERS: Final = 100

_NAME: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_RULE_KEYS: Final = ("rule", "object", "on", "when", "then", "include_sync_user")
_REQUIRED_RULE_KEYS: Final = ("rule", "object", "on", "then")
_ADD_TO_SEQUENCE: Final = "add_to_sequence"
_ACTION_KEYS: Final = (_ADD_TO_SEQUENCE, "recipient", "variables", "re_enroll")


def parse_rules(text: str, source: str) -> list[Rule]:
    """Return the rules of `text`, one a YAML document, in order.

    `source` names the text in messages, usually a file's name.

    Raises:
        RuleError: with every mistake that was found, or for a text without any rule.
    """
    documents, mistakes = read_documents(text, source)
    reading = Reading(source, mistakes)
    if not documents and not mistakes:
        reading.refuse(1, "no rule found")
    rules = [_read_rule(reading, document) for document in documents]
    _check_names(reading, documents)
    if mistakes:
        raise RuleError(mistakes)
    return [rule for rule in rules if rule is not None]


def _check_names(reading: Reading, documents: list[Node]) -> None:
    first_lines: dict[str, int] = {}
    for document in documents:
        name = document.content.get("rule") if isinstance(document.content, dict) else None
        if name is None or not isinstance(name.content, str):
            continue
        first = first_lines.setdefault(name.content, name.line)
        if first != name.line:
            reading.refuse(name.line, f"a rule '{name.content}' stands on line {first} already")


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
    actions = [_read_action(reading, node) for node in then or ()]
    sync = entries.get("include_sync_user")
    include = reading.read_flag(sync, "'include_sync_user'") if sync is not None else False
    if name is None or object_ is None or operations is None or include is None:
        return None
    return Rule(
        name=name,
        object=object_,
        operations=operations,
        actions=tuple(action for action in actions if action is not None),
        clauses=clauses,
        include_sync_user=include,
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


def _read_action(reading: Reading, node: Node) -> Action | None:
    entries = reading.read_mapping(node, "an action")
    if entries is None:
        return None
    reading.check_keys(
        entries, known=_ACTION_KEYS, required=(_ADD_TO_SEQUENCE, "recipient"), line=node.line
    )
    sequence = (
        reading.read_text(entries[_ADD_TO_SEQUENCE], f"'{_ADD_TO_SEQUENCE}'")
        if _ADD_TO_SEQUENCE in entries
        else None
    )
    if sequence is not None and len(sequence) > MAX_SEQUENCE_CHARACTERS:
        reading.refuse(
            entries[_ADD_TO_SEQUENCE].line,
            f"a sequence's name has at most {MAX_SEQUENCE_CHARACTERS} characters",
        )
    recipient = (
        reading.read_field(entries["recipient"], "'recipient'") if "recipient" in entries else None
    )
    variables = _read_variables(reading, entries["variables"]) if "variables" in entries else {}
    re_enroll = (
        reading.read_choice(entries["re_enroll"], ReEnroll, "'re_enroll'")
        if "re_enroll" in entries
        else ReEnroll.NEVER
    )
    if sequence is None or recipient is None or re_enroll is None:
        return None
    return AddToSequence(sequence, recipient, variables, re_enroll)


def _read_variables(reading: Reading, node: Node) -> dict[str, str]:
    entries = reading.read_mapping(node, "'variables'") or {}
    fields: dict[str, str] = {}
    for variable, value in entries.items():
        if not variable.strip():
            reading.refuse(value.line, "a variable needs a name")
        field = reading.read_field(value, f"variable '{variable}'")
        if field is not None:
            fields[variable] = field
    return fields
