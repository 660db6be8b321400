"""What follows for a class from those that it extends and implements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.language.declarations import ClassInfo, MethodInfo, Modifiers
from tests.apex_runtime.library import registry
from tests.apex_runtime.parse import line_of
from tests.apex_runtime.types import LIBRARY_EXCEPTION, STRING, VOID, ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.code import Run
    from tests.apex_runtime.language.world import World


_TO_STRING = ("tostring", ())
"""The one method of Object that a class may override here."""


def complete(world: World, cls: ClassInfo) -> None:
    """Fill in what follows from the classes above: ancestors, constructors, the virtual table."""
    cls.ancestors = frozenset(_ancestors(world, cls))
    if cls.form != "class":
        return
    if cls.is_a("exception"):
        _add_exception_constructors(cls)
    elif not cls.constructors:
        cls.constructors.append(_generated(cls, (), lambda _: None))
    for each in reversed(cls.lineage()):
        for method in (m for overloads in each.methods.values() for m in overloads):
            if not method.is_static:
                _check_override(cls, method)
                cls.vtable[method.key] = method
    if "abstract" not in cls.modifiers.flags:
        _check_whole(world, cls)


def _ancestors(world: World, cls: ClassInfo) -> set[str]:
    found = {"object"}
    for each in cls.lineage():
        found.add(each.name.casefold())
        found |= {each.library_parent}
        for interface in each.interfaces:
            found.add(interface.name.casefold())
            of = world.class_of(interface)
            found |= _ancestors(world, of) if of is not None else _library_ancestors(interface)
    return found


def _library_ancestors(interface: ApexType) -> set[str]:
    known = registry.find_type(interface.name)
    return set(known.cls.ancestors) if known else set()


def _generated(cls: ClassInfo, types: tuple[ApexType, ...], body: Run) -> MethodInfo:
    """Return a constructor that no source declares."""
    params = tuple((f"p{place}", each) for place, each in enumerate(types))
    name = cls.name.rpartition(".")[2]
    made = MethodInfo(name, cls, Modifiers("public"), params, VOID, line_of(cls.node))
    made.body, made.size = body, 3 + len(types)
    return made


def _add_exception_constructors(cls: ClassInfo) -> None:
    """Add the four that every exception has. [apex_exception_custom]"""

    def setting(*names: str) -> Callable[[list[object]], None]:
        def body(frame: list[object]) -> None:
            this = frame[1]
            this.fields.update(zip(names, frame[3:], strict=False))  # type: ignore[attr-defined]  # the instance

        return body

    for types, names in (
        ((), ()),
        ((STRING,), ("message",)),
        ((LIBRARY_EXCEPTION,), ("cause",)),
        ((STRING, LIBRARY_EXCEPTION), ("message", "cause")),
    ):
        cls.constructors.append(_generated(cls, types, setting(*names)))


def _check_override(cls: ClassInfo, method: MethodInfo) -> None:
    above = cls.vtable.get(method.key)
    if method.key == _TO_STRING and above is None:
        if "override" not in method.modifiers.flags:
            raise CompileError("Method must use the override keyword: String toString()")
        return
    if above is None or method.owner is None:
        if method.owner is cls and "override" in method.modifiers.flags:
            raise CompileError(f"@Override specified for non-overriding method: {method.name}")
        return
    if not {"virtual", "abstract", "override"} & above.modifiers.flags:
        raise CompileError(f"Non-virtual, non-abstract methods cannot be overridden: {method.name}")
    if "override" not in method.modifiers.flags:
        raise CompileError(f"Method must use the override keyword: {method.name}")


def _check_whole(world: World, cls: ClassInfo) -> None:
    """Refuse a class that leaves a method of its interfaces or abstract classes out."""
    for method in cls.vtable.values():
        if "abstract" in method.modifiers.flags:
            raise CompileError(
                f"Class {cls.name} must implement the abstract method: {method.name}"
            )
    for interface in (each for above in cls.lineage() for each in above.interfaces):
        for name, types in _required(world, interface):
            found = cls.vtable.get((name, types))
            if found is None or found.modifiers.visibility not in {"public", "global"}:
                raise CompileError(
                    f"Class {cls.name} must implement the method: {interface}.{name}"
                )


def _required(world: World, interface: ApexType) -> list[tuple[str, tuple[str, ...]]]:
    of = world.class_of(interface)
    if of is not None:
        own = [method.key for overloads in of.methods.values() for method in overloads]
        return own + [key for above in of.interfaces for key in _required(world, above)]
    known = registry.find_type(interface.name)
    if known is None or not known.is_interface or interface.kind is not Kind.LIBRARY:
        raise CompileError(f"not modelled: implementing {interface}")
    return [
        (method.name.casefold(), tuple(map(str, method.params)))
        for overloads in known.methods.values()
        for method in overloads
    ]
