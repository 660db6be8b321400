"""A program: the classes and triggers of some folders, compiled against an org's schema.

Loading is what a deployment is: unknown variables, methods, types and fields are refused there, all
at once, each with its file and line. `Program.session` is one transaction of the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.language import (  # noqa: F401 (they fill the tables of expressions and statements)
    assignments,
    calls,
    creation,
    dml_statements,
    loops,
    names,
    operators,
    queries,
    switch,
    trying,
)
from tests.apex_runtime.language.bodies import compile_class, compile_unit
from tests.apex_runtime.language.classes import collect, link
from tests.apex_runtime.language.declarations import ClassInfo
from tests.apex_runtime.language.hierarchy import complete
from tests.apex_runtime.language.session import Session
from tests.apex_runtime.language.world import World
from tests.apex_runtime.library import catalog  # noqa: F401 (it fills the table of the library)
from tests.apex_runtime.parse import Node, kind, parse, text
from tests.apex_runtime.types import ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tests.apex_runtime.language.declarations import MethodInfo
    from tests.apex_runtime.platform import Platform, Schema
    from tests.apex_runtime.values import SObject

__all__ = ["ClassInfo", "Program", "Session", "Trigger", "TriggerContext"]


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """What `Trigger` says while a trigger runs.

    `operation` is a `TriggerOperation` (`BEFORE_INSERT` … `AFTER_UNDELETE`); `new` and `old` are
    None where Apex has null. The maps are made from them.
    """

    operation: str
    new: list[SObject] | None
    old: list[SObject] | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger: its name, its object as written and its events (`BEFORE_INSERT` …)."""

    name: str
    object_name: str
    events: frozenset[str]
    file: str


class Program:
    """Classes by folded name (`outer.inner` for inner ones) and triggers."""

    def __init__(self, describe: Callable[[str], Schema | None]) -> None:
        self.world = World(describe)
        self.triggers: list[Trigger] = []
        self.trigger_bodies: dict[str, MethodInfo] = {}

    @property
    def classes(self) -> Mapping[str, ClassInfo]:
        """The program's classes, interfaces and enums."""
        return self.world.classes

    @classmethod
    def load(cls, paths: Iterable[Path], describe: Callable[[str], Schema | None]) -> Program:
        """Compile every `.cls` and `.trigger` under `paths`.

        `describe` is that of the org (`Platform.describe`). Raises CompileError with all refusals.
        """
        files = sorted(
            file
            for path in paths
            for file in path.rglob("*")
            if file.suffix in {".cls", ".trigger"}
        )
        return cls.of({str(file): file.read_text(encoding="utf-8") for file in files}, describe)

    @classmethod
    def of(cls, sources: Mapping[str, str], describe: Callable[[str], Schema | None]) -> Program:
        """Compile sources by the names of their files."""
        program = cls(describe)
        units = []
        for file, source in sources.items():
            units.append((file, program._guarded(lambda f=file, s=source: parse(s, f))))  # type: ignore[misc]  # bound in the loop
        program.refuse_problems()
        triggers = [
            (file, unit)
            for file, unit in units
            if unit is not None and not program._declared(unit, file)
        ]
        for step in (link, complete, compile_class):
            # A class is completed after those that it extends: fewer ancestors first.
            for each in sorted(program.world.classes.values(), key=lambda c: len(c.lineage())):
                program._guarded(lambda s=step, c=each: s(program.world, c), each)  # type: ignore[misc]  # bound in the loop
            if step is not compile_class:
                program.refuse_problems()
        for file, unit in triggers:
            program._guarded(lambda f=file, u=unit: program._add_trigger(u, f))  # type: ignore[misc]  # bound in the loop
        program.refuse_problems()
        return program

    def _guarded(self, do: Callable[[], Node | None], of: ClassInfo | None = None) -> Node | None:
        try:
            return do()
        except CompileError as problem:
            if not problem.places and of is not None:
                problem.passed(of.name, of.file, 1)
            self.world.problems.append(problem)
            return None

    def _declared(self, unit: Node, file: str) -> bool:
        """Note a class's names; say whether the unit is one."""
        match kind(unit):
            case "CompilationUnit$TriggerDeclUnit":
                return False
            case (
                "CompilationUnit$ClassDeclUnit"
                | "CompilationUnit$InterfaceDeclUnit"
                | "CompilationUnit$EnumDeclUnit"
            ):
                collect(self.world, unit["body"], file, None)
                return True
            case other:
                raise CompileError(f"not modelled: {other} in {file}")

    def _add_trigger(self, unit: Node, file: str) -> None:
        name, object_name = text(unit["name"]), text(unit["target"][0])
        info = self.world.sobject(object_name)
        if info is None:
            raise CompileError(f"trigger {name} on unknown object {object_name}")
        events = frozenset(each["$"] for each in unit["usages"])
        self.triggers.append(Trigger(name, object_name, events, file))
        self.trigger_bodies[name] = compile_unit(
            self.world,
            unit["members"],
            f"Trigger.{name}",
            file,
            ApexType(info.schema.name, Kind.SOBJECT),
        )

    def refuse_problems(self) -> None:
        """Raise what was refused so far, all of it."""
        problems, self.world.problems = self.world.problems, []
        if problems:
            raise CompileError("\n".join(map(str, problems)))

    def executable_lines(self, file: str) -> set[int]:
        """Return the numbers of a file's lines that hold a statement."""
        return {line for of, line in self.world.lines if of == file}

    def session(self, platform: Platform) -> Session:
        """Begin a transaction: fresh statics."""
        return Session(self, platform)
