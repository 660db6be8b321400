"""Reads nodes as what the language wants them to be, and notes a mistake where they are not.

Every `read_*` returns None after noting a mistake, so that a reader can go on and find the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from rules.mistakes import Mistake, near_name
from rules.model import MAX_LOOKUPS
from rules.paths import is_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from rules.source import Content, Node

    Choice = TypeVar("Choice", bound=StrEnum)

_DURATION: Final = re.compile(r"([1-9][0-9]{0,5}) ?(m|h|d|w|minutes?|hours?|days?|weeks?)")
_UNIT_S: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MAX_COUNT: Final = 10**9


class Reading:
    """One text being read; `what` names the thing read, for messages.

    `lines`: where each condition, field, path and sequence that was read first stands.
    """

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        self.lines: dict[object, int] = {}
        self._source = source

    def refuse(self, line: int, message: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(self._source, line, message))

    def keep_line(self, what: object, line: int) -> None:
        """Keep the line on which something that may turn out wrong later first stands."""
        self.lines.setdefault(what, line)

    def read_mapping(self, node: Node, what: str) -> dict[str, Node] | None:
        """Read keys with values."""
        if isinstance(node.content, dict):
            return node.content
        self.refuse(node.line, f"{what} takes keys with values, not {_described(node.content)}")
        return None

    def read_list(self, node: Node, what: str) -> list[Node] | None:
        """Read a list."""
        if isinstance(node.content, list):
            return node.content
        self.refuse(node.line, f"{what} takes a list, not {_described(node.content)}")
        return None

    def read_filled_list(self, node: Node, what: str) -> list[Node] | None:
        """Read a list of one or more."""
        items = self.read_list(node, what)
        if items is None or items:
            return items
        self.refuse(node.line, f"{what} must not be empty")
        return None

    def read_text(self, node: Node, what: str) -> str | None:
        """Read text that is more than blanks."""
        if isinstance(node.content, str) and node.content.strip():
            return node.content
        hint = "; write it in quotes" if isinstance(node.content, int) else ""
        self.refuse(node.line, f"{what} takes text, not {_described(node.content)}{hint}")
        return None

    def read_flag(self, node: Node, what: str) -> bool | None:
        """Read true or false."""
        if isinstance(node.content, bool):
            return node.content
        self.refuse(node.line, f"{what} takes true or false, not {_described(node.content)}")
        return None

    def read_flag_or(self, entries: dict[str, Node], key: str, *, default: bool) -> bool:
        """Read true or false where `key` is given."""
        flag = self.read_flag(entries[key], f"'{key}'") if key in entries else None
        return default if flag is None else flag

    def read_count_or(self, entries: dict[str, Node], key: str, *, default: int) -> int:
        """Read a whole number from 1 where `key` is given."""
        if key not in entries:
            return default
        content = entries[key].content
        if isinstance(content, int) and content is not True and 1 <= content <= _MAX_COUNT:
            return content
        self.refuse(
            entries[key].line, f"'{key}' takes a whole number from 1, not {_described(content)}"
        )
        return default

    def read_duration_s_or(self, entries: dict[str, Node], key: str, *, default: int) -> int:
        """Read a duration such as `36h`, in seconds, where `key` is given."""
        if key not in entries:
            return default
        content = entries[key].content
        found = _DURATION.fullmatch(content) if isinstance(content, str) else None
        if found is None:
            self.refuse(
                entries[key].line,
                f"'{key}' takes a time such as 90m, 24h, 7d or 2w, not {_described(content)}",
            )
            return default
        return int(found[1]) * _UNIT_S[found[2][0]]

    def read_choice(self, node: Node, choices: type[Choice], what: str) -> Choice | None:
        """Read one word of a closed enumeration."""
        word = self.read_text(node, what)
        if word is None:
            return None
        known = [choice.value for choice in choices]
        if word in known:
            return choices(word)
        near = near_name(word, known) or f"; known are {', '.join(known)}"
        self.refuse(node.line, f"unknown {what} '{word}'{near}")
        return None

    def read_field(self, node: Node, what: str) -> str | None:
        """Read the API name of a field of the record, or a path to one through lookups."""
        name = self.read_text(node, what)
        if name is None:
            return None
        if not is_path(name):
            self.refuse(node.line, f"{what} takes a field's API name, which '{name}' cannot be")
            return None
        if name.count(".") > MAX_LOOKUPS:
            self.refuse(
                node.line, f"'{name}' follows {name.count('.')} lookups; {MAX_LOOKUPS} are the most"
            )
            return None
        self.keep_line(name, node.line)
        return name

    def check_keys(
        self, entries: dict[str, Node], *, known: Iterable[str], required: Iterable[str], line: int
    ) -> None:
        """Note unknown keys and, at `line`, required ones that are missing."""
        known = tuple(known)
        for key, value in entries.items():
            if key not in known:
                self.refuse(value.line, f"unknown key '{key}'{near_name(key, known)}")
        for key in required:
            if key not in entries:
                self.refuse(line, f"missing key '{key}'")


def _described(content: Content) -> str:
    match content:
        case None:
            return "nothing"
        case bool():
            return str(content).lower()
        case str():
            return f"'{content}'" if content.strip() else "empty text"
        case list():
            return "a list"
        case dict():
            return "keys with values"
        case _:
            return str(content)
