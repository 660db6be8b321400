"""What a class of the program declares: the names that other code may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.types import ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.apex_runtime.language.code import Run
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.parse import Node
    from tests.apex_runtime.values import Value

Key = tuple[str, tuple[str, ...]]
"""What makes a method override another: its folded name and its parameters' types."""


@dataclass(frozen=True, slots=True)
class Modifiers:
    """Modifiers of a declaration: visibility, flags such as `static`, and folded annotations."""

    visibility: str = "private"
    flags: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()


@dataclass(eq=False, slots=True)
class FieldInfo:
    """A field or property; one with accessors' bodies has `getter` or `setter`."""

    name: str
    type: ApexType
    owner: ClassInfo
    modifiers: Modifiers
    line: int
    initial: Node | None = None
    getter: MethodInfo | None = None
    setter: MethodInfo | None = None
    set_visibility: str | None = None
    is_writable: bool = True

    @property
    def is_static(self) -> bool:
        """Whether it belongs to the class, one value a transaction."""
        return "static" in self.modifiers.flags

    @property
    def is_final(self) -> bool:
        """Whether it is assigned in initializers and constructors only."""
        return "final" in self.modifiers.flags


@dataclass(eq=False, slots=True)
class MethodInfo:
    """A method, constructor, accessor or the body of a trigger.

    Frames are lists: the session, `this`, the value to return, then parameters and variables.
    """

    name: str
    owner: ClassInfo | None
    modifiers: Modifiers
    params: tuple[tuple[str, ApexType], ...]
    returns: ApexType
    line: int
    node: Node | None = None
    body: Run | None = None
    size: int = 0
    before: Callable[[Session, Any, list[Any]], None] | None = None

    @property
    def is_static(self) -> bool:
        """Whether it is called without an instance."""
        return "static" in self.modifiers.flags

    @property
    def types(self) -> tuple[ApexType, ...]:
        """The types of the parameters."""
        return tuple(each for _, each in self.params)

    @property
    def key(self) -> Key:
        """What an overriding method has in common with this one."""
        return method_key(self.name, self.types)

    def invoke(self, session: Session, this: Value, args: Sequence[Value]) -> Any:  # noqa: ANN401 (a Value of the type it declares)
        """Run the body on a new frame."""
        frame: list[Any] = [session, this, None, *args]
        frame += [None] * (self.size - len(frame))
        session.enter(frame)
        try:
            if self.before is not None:
                self.before(session, this, frame)
            self.body(frame)  # type: ignore[misc]  # compiled when the program was loaded
        finally:
            session.frames.pop()
        return frame[2]


def method_key(name: str, types: Sequence[ApexType]) -> Key:
    """Return the key of a method of that name and those parameter types."""
    return (name.casefold(), tuple(map(str, types)))


@dataclass(eq=False, slots=True)
class ClassInfo:
    """A class, interface or enum of the program (a `ClassLike`).

    Dictionaries are by folded name. `library_parent` is the platform's class that it extends, which
    only an exception does.
    """

    name: str
    form: str
    file: str
    node: Node
    outer: ClassInfo | None
    modifiers: Modifiers
    superclass: ClassInfo | None = None
    library_parent: str = "object"
    interfaces: list[ApexType] = field(default_factory=list)
    fields: dict[str, FieldInfo] = field(default_factory=dict)
    methods: dict[str, list[MethodInfo]] = field(default_factory=dict)
    constructors: list[MethodInfo] = field(default_factory=list)
    inner: dict[str, ClassInfo] = field(default_factory=dict)
    constants: list[str] = field(default_factory=list)
    ancestors: frozenset[str] = frozenset()
    vtable: dict[Key, MethodInfo] = field(default_factory=dict)
    static_steps: list[Run] = field(default_factory=list)
    instance_steps: list[Run] = field(default_factory=list)
    steps_size: int = 3
    transient: frozenset[str] = frozenset()
    by_value: bool = False

    @property
    def type(self) -> ApexType:
        """The type of the class's instances."""
        return ApexType(self.name, Kind.CLASS)

    @property
    def is_test(self) -> bool:
        """Whether it, or the class around it, is annotated `@isTest`."""
        return "istest" in self.modifiers.annotations or (
            self.outer is not None and self.outer.is_test
        )

    @property
    def outermost(self) -> ClassInfo:
        """The top-level class that it is written in."""
        return self if self.outer is None else self.outer.outermost

    def methods_annotated(self, name: str) -> list[str]:
        """Return the names of the methods with an annotation (`isTest`, `TestSetup`, `future`).

        `testMethod` counts as `isTest`.
        """
        return [
            method.name
            for overloads in self.methods.values()
            for method in overloads
            if name.casefold() in method.modifiers.annotations
        ]

    def is_a(self, name: str) -> bool:
        """Say whether this is the named class or interface, or derives from it; any case."""
        folded = name.casefold().removeprefix("system.")
        return folded == self.name.casefold() or folded in self.ancestors

    def lineage(self) -> list[ClassInfo]:
        """Return the class and the classes that it extends, nearest first."""
        found: list[ClassInfo] = []
        at: ClassInfo | None = self
        while at is not None:
            found.append(at)
            at = at.superclass
        return found

    def find_field(self, name: str) -> FieldInfo | None:
        """Return a field of the class or of one that it extends."""
        folded = name.casefold()
        return next((each.fields[folded] for each in self.lineage() if folded in each.fields), None)
