"""YAML text as trees of nodes that know their lines.

YAML 1.2's JSON schema rather than PyYAML's 1.1: `on`, `yes` and `no` stay text, only true and
false are booleans, dates stay text, and what JSON would not call a number (`02134`, `+1555`)
stays text, so that postcodes and telephone numbers keep every character.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec
import yaml

from rules.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT_CHARACTERS: Final = 1024 * 1024
MAX_DEPTH: Final = 32
# Far beyond any Salesforce number, and below the size at which Python refuses to convert text.
MAX_NUMBER_CHARACTERS: Final = 100

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
# What PostgreSQL cannot store in text or JSONB; only an escape in quotes can spell them.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

Content: TypeAlias = "str | int | Decimal | bool | list[Node] | dict[str, Node] | None"


class Node(msgspec.Struct, frozen=True):
    """One value and its line, from 1. A value inside a mapping stands on its key's line."""

    line: int
    content: Content


class _UnreadableError(Exception):
    """Nothing after this mistake can be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class SourceDocument(NamedTuple):
    """One document, and its own text: comments before its first line's `---` stay with it."""

    node: Node
    text: str


def read_documents(text: str, source: str) -> tuple[list[SourceDocument], list[Mistake]]:
    """Return the documents of `text` and the mistakes in its YAML.

    Empty documents are left out. Where the YAML is broken, the documents before the break are
    still returned, so that all mistakes can be told at once.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        message = f"longer than {MAX_TEXT_CHARACTERS} characters; split it into several files"
        return [], [Mistake(source, 1, message)]
    reader = _Reader(text, source)
    documents: list[SourceDocument] = []
    begun = 0
    try:
        for event in reader.events:
            if isinstance(event, yaml.DocumentStartEvent):
                node = reader.node(next(reader.events))
                end = next(reader.events).end_mark
                # To the letter: indentation and the ends of block texts mean something.
                piece = text[begun : end.index] if end is not None else text[begun:]
                begun += len(piece)
                if node.content is not None:
                    documents.append(SourceDocument(node, piece))
    except _UnreadableError as error:
        reader.refuse(error.line, error.message)
    return documents, reader.mistakes


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield PyYAML's parsing events; broken YAML raises `_UnreadableError`."""
    line = 1
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = _line(event)
            yield event
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _UnreadableError(line, "a control character, which YAML does not allow") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reasons = (error.context, error.problem)
        raise _UnreadableError(
            mark.line + 1 if mark is not None else 1,
            "not YAML: " + ", ".join(reason for reason in reasons if reason),
        ) from error
    except (ValueError, OverflowError) as error:
        # PyYAML converts escapes such as "\UFFFFFFFF" and version numbers without checking them.
        raise _UnreadableError(line, "not YAML: a number or an escape is out of range") from error


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _storable(text: str) -> str:
    """Replace what was refused already, so that messages can quote the rest."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class _Reader:
    """Builds nodes from events, and notes mistakes that need not stop the reading."""

    def __init__(self, text: str, source: str) -> None:
        self.events = _events(text)
        self.mistakes: list[Mistake] = []
        self._source = source

    def refuse(self, line: int, message: str) -> None:
        self.mistakes.append(Mistake(self._source, line, message))

    def node(self, event: yaml.Event, *, depth: int = 0, line: int | None = None) -> Node:
        """Read the node that `event` begins; `line` stands in for its own."""
        own_line = _line(event)
        if line is None:
            line = own_line
        if isinstance(event, yaml.AliasEvent):
            self.refuse(own_line, f"aliases such as '*{event.anchor}' are not allowed")
            return Node(line, None)
        if depth >= MAX_DEPTH:
            raise _UnreadableError(own_line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._check_properties(event, own_line)
        if isinstance(event, yaml.ScalarEvent):
            return Node(line, self._scalar(event, own_line))
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(line, self._sequence(depth))
        return Node(line, self._mapping(depth))

    def _check_properties(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int
    ) -> None:
        if event.anchor is not None:
            self.refuse(line, f"anchors such as '&{event.anchor}' are not allowed")
        if event.tag is not None:
            self.refuse(line, f"tags such as '{event.tag}' are not allowed; quotes make text")

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Content:
        text: str = event.value
        if event.style is not None:
            if _UNSTORABLE.search(text):
                self.refuse(line, "text holds a character that cannot be stored")
            return _storable(text)
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        return self._number(text, line) if _NUMBER.fullmatch(text) else text

    def _number(self, text: str, line: int) -> Content:
        if len(text) > MAX_NUMBER_CHARACTERS:
            self.refuse(line, f"a number of more than {MAX_NUMBER_CHARACTERS} characters")
            return text
        if text.removeprefix("-").isdigit():
            return int(text)
        try:
            return Decimal(text)
        except InvalidOperation:
            self.refuse(line, f"the number {text} is out of range")
            return text

    def _sequence(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth=depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            key = _storable(event.value) if isinstance(event, yaml.ScalarEvent) else None
            key_node = self.node(event, depth=depth + 1)
            value = self.node(next(self.events), depth=depth + 1, line=line)
            if key is None:
                self.refuse(key_node.line, "a key must be plain text")
            elif key in entries:
                self.refuse(line, f"key '{key}' appears twice; first on line {entries[key].line}")
            else:
                entries[key] = value
        return entries
