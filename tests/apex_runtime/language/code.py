"""Compiled expressions: a type known when loading, and a closure over a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.apex_runtime.types import ApexType

Frame = list[Any]
"""Slot 0 the session, 1 `this`, 2 the value to return, then parameters and local variables."""

Run = Callable[[Frame], Any]
"""Evaluates an expression, or executes a statement and returns its signal."""

Operation = Callable[[Frame, Any, Any], Any]
"""What an operator does with the values of its operands."""

SESSION, THIS, RETURNED, FIRST_LOCAL = range(4)

BREAK, CONTINUE, RETURN = 1, 2, 3
"""Signals of a statement that ends its block early; None when it does not."""


class Skipped:
    """Stands for null while the rest of a chain behind `?.` is left out."""


SKIPPED = Skipped()


@dataclass(frozen=True, slots=True)
class Code:
    """An expression: `may_skip` when it gives SKIPPED behind `?.`; `is_query` for `[SELECT …]`."""

    type: ApexType
    run: Run
    may_skip: bool = False
    is_query: bool = False


@dataclass(frozen=True, slots=True)
class TypeName:
    """A name that stands for a type, or begins one (`System`, `Database`)."""

    name: str
    type: ApexType | None


@dataclass(frozen=True, slots=True)
class Target:
    """Something assignable: `receivers` are evaluated once, then `load` and `store` use them."""

    type: ApexType
    receivers: tuple[Run, ...]
    load: Callable[..., Any]
    store: Callable[..., None]
