"""Reads what stands under `then`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rules.mistakes import near_name
from rules.model import (
    MAX_SEQUENCE_CHARACTERS,
    MAX_URL_CHARACTERS,
    AddToSequence,
    ReEnroll,
    RemoveFromSequence,
    Webhook,
)

if TYPE_CHECKING:
    from rules.model import Action
    from rules.reading import Reading
    from rules.source import Node

_ADD: Final = "add_to_sequence"
_REMOVE: Final = "remove_from_sequence"
_WEBHOOK: Final = "webhook"
_ACTIONS: Final = (_ADD, _REMOVE, _WEBHOOK)


def read_action(reading: Reading, node: Node) -> Action | None:
    """Read one action; the key that names it comes with keys of its own."""
    entries = reading.read_mapping(node, "an action")
    if entries is None:
        return None
    named = next((key for key in _ACTIONS if key in entries), None)
    if named == _REMOVE:
        return _read_removal(reading, node, entries)
    if named == _WEBHOOK:
        return _read_webhook(reading, node, entries)
    if named is None:
        unknown = next(iter(entries), None)
        near = near_name(unknown, _ACTIONS) if unknown is not None else ""
        if unknown is None or not near:
            near = f"; it is one of {', '.join(_ACTIONS)}"
        reading.refuse(node.line, f"an action begins with what it does{near}")
        return None
    return _read_addition(reading, node, entries)


def _read_addition(reading: Reading, node: Node, entries: dict[str, Node]) -> AddToSequence | None:
    known = (_ADD, "recipient", "variables", "re_enroll")
    reading.check_keys(entries, known=known, required=known[:2], line=node.line)
    sequence = read_sequence_name(reading, entries[_ADD], _ADD)
    recipient = _read_recipient(reading, entries)
    variables = _read_fields(reading, entries, "variables", "variable")
    re_enroll = (
        reading.read_choice(entries["re_enroll"], ReEnroll, "'re_enroll'")
        if "re_enroll" in entries
        else ReEnroll.NEVER
    )
    if sequence is None or recipient is None or re_enroll is None:
        return None
    return AddToSequence(sequence, recipient, variables, re_enroll)


def _read_removal(
    reading: Reading, node: Node, entries: dict[str, Node]
) -> RemoveFromSequence | None:
    known = (_REMOVE, "recipient")
    reading.check_keys(entries, known=known, required=known, line=node.line)
    sequence = read_sequence_name(reading, entries[_REMOVE], _REMOVE)
    recipient = _read_recipient(reading, entries)
    if sequence is None or recipient is None:
        return None
    return RemoveFromSequence(sequence, recipient)


def _read_webhook(reading: Reading, node: Node, entries: dict[str, Node]) -> Webhook | None:
    reading.check_keys(entries, known=(_WEBHOOK, "fields"), required=(_WEBHOOK,), line=node.line)
    fields = _read_fields(reading, entries, "fields", "field")
    url = reading.read_text(entries[_WEBHOOK], f"'{_WEBHOOK}'")
    if url is None:
        return None
    problem = _problem_of_url(url)
    if problem is not None:
        # Not quoted: it may hold a password.
        reading.refuse(entries[_WEBHOOK].line, f"'{_WEBHOOK}' takes a URL; {problem}")
        return None
    return Webhook(url, fields)


def _problem_of_url(url: str) -> str | None:
    if len(url) > MAX_URL_CHARACTERS:
        return f"this has more than {MAX_URL_CHARACTERS} characters"
    if not url.startswith(("https://", "http://")):
        return "it begins with https:// or http://"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "what is no plain character in it has to be percent-encoded"
    try:
        parts = urlsplit(url)
        port_is_wrong = parts.port == 0
    except ValueError:
        return "this one cannot be read"
    if not parts.hostname or port_is_wrong:
        return "this one names no host"
    return "a user and password do not belong in it" if "@" in parts.netloc else None


def read_sequence_name(reading: Reading, node: Node, key: str) -> str | None:
    """Read the name of a sequence, and keep its line."""
    sequence = reading.read_text(node, f"'{key}'")
    if sequence is None:
        return None
    if len(sequence) > MAX_SEQUENCE_CHARACTERS:
        reading.refuse(
            node.line, f"a sequence's name has at most {MAX_SEQUENCE_CHARACTERS} characters"
        )
        return None
    reading.keep_line(sequence, node.line)
    return sequence


def _read_recipient(reading: Reading, entries: dict[str, Node]) -> str | None:
    return (
        reading.read_field(entries["recipient"], "'recipient'") if "recipient" in entries else None
    )


def _read_fields(reading: Reading, entries: dict[str, Node], key: str, what: str) -> dict[str, str]:
    if key not in entries:
        return {}
    fields: dict[str, str] = {}
    for name, value in (reading.read_mapping(entries[key], f"'{key}'") or {}).items():
        if not name.strip():
            reading.refuse(value.line, f"a {what} needs a name")
        field = reading.read_field(value, f"{what} '{name}'")
        if field is not None:
            fields[name] = field
    return fields
