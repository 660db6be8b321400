"""Which of several methods of a name a call means, by the types of its arguments."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.apex_runtime.language.conversion import converter
from tests.apex_runtime.language.declarations import MethodInfo
from tests.apex_runtime.types import OBJECT, SOBJECT, ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.apex_runtime.language.code import Code
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.language.world import World
    from tests.apex_runtime.library.registry import LibraryMethod
    from tests.apex_runtime.parse import Node


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method with the types that it has for this receiver."""

    method: MethodInfo | LibraryMethod
    types: tuple[ApexType, ...]
    returns: ApexType


def candidates(
    methods: Iterable[MethodInfo | LibraryMethod], variables: Mapping[str, ApexType]
) -> list[Candidate]:
    """Return methods with `T`, `K` and `V` replaced by the receiver's type arguments."""
    return [
        Candidate(method, method.types, method.returns)
        if isinstance(method, MethodInfo)
        else Candidate(
            method,
            tuple(substitute(each, variables) for each in method.params),
            substitute(method.returns, variables),
        )
        for method in methods
    ]


def substitute(type_: ApexType, variables: Mapping[str, ApexType]) -> ApexType:
    """Return a signature's type with its variables replaced."""
    if type_.kind is Kind.VARIABLE:
        return variables[type_.name]
    if type_.args:
        return ApexType(
            type_.name, type_.kind, tuple(substitute(each, variables) for each in type_.args)
        )
    return type_


def choose(
    scope: Scope, node: Node, name: str, among: Sequence[Candidate], args: Sequence[Code]
) -> Candidate:
    """Return the method that fits the arguments best; none, or no best one, is refused."""
    given = tuple(each.type for each in args)
    fitting = [
        each
        for each in among
        if len(each.types) == len(given)
        and all(
            converter(scope.world, source, target) is not None
            or (code.is_query and target.kind is Kind.SOBJECT and target != SOBJECT)
            for source, target, code in zip(given, each.types, args, strict=True)
        )
    ]
    called = f"{name}({', '.join(map(str, given))})"
    if not fitting:
        reason = "does not fit" if among else "does not exist, or is not modelled"
        raise scope.refused(node, f"Method {called} {reason}")
    for each in fitting:
        if each.types == given:
            return each
    best = [
        each
        for each in fitting
        if all(_at_least_as_specific(scope.world, each, other) for other in fitting)
    ]
    # Decimal and Double convert to each other: then the one that leaves more arguments as they are.
    exact = [sum(map(operator.eq, each.types, given)) for each in best]
    leading = [each for each, count in zip(best, exact, strict=True) if count == max(exact)]
    if len({each.types for each in leading}) != 1:
        raise scope.refused(node, f"Method {called} is ambiguous")
    return leading[0]


def _at_least_as_specific(world: World, one: Candidate, other: Candidate) -> bool:
    return all(
        converter(world, mine, theirs) is not None and not (mine == OBJECT != theirs)
        for mine, theirs in zip(one.types, other.types, strict=True)
    )
