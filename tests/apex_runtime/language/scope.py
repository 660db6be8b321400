"""Where an expression stands: the class and method around it, the variables it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import CompileError, NotModelled, throw
from tests.apex_runtime.language.code import FIRST_LOCAL, THIS, Code
from tests.apex_runtime.language.conversion import converter, same
from tests.apex_runtime.parse import line_of
from tests.apex_runtime.types import VOID, ApexType, Kind

if TYPE_CHECKING:
    from tests.apex_runtime.language.code import Frame, Run
    from tests.apex_runtime.language.declarations import ClassInfo, Modifiers
    from tests.apex_runtime.language.world import World
    from tests.apex_runtime.parse import Node
    from tests.apex_runtime.values import SObject, Value


def this_run(frame: Frame) -> Value:
    """Evaluate `this`."""
    this: Value = frame[THIS]
    return this


@dataclass(frozen=True, slots=True)
class Local:
    """A parameter or local variable: its place in the frame."""

    slot: int
    type: ApexType
    is_final: bool = False


@dataclass(slots=True)
class Scope:
    """The surroundings of the statement that is being compiled.

    `accessor_of` is the property whose accessor this is: there its name means the value itself.
    """

    world: World
    cls: ClassInfo | None
    unit: str
    file: str
    is_static: bool
    returns: ApexType = VOID
    initializes: bool = False
    accessor_of: str | None = None
    size: int = FIRST_LOCAL
    loops: int = 0
    trigger_object: ApexType | None = None
    _blocks: list[dict[str, Local]] = field(default_factory=lambda: [{}])

    def refused(self, node: object, message: str, *, modelled: bool = True) -> CompileError:
        """Return the refusal of a node: of what Salesforce refuses, or what is not modelled."""
        problem = CompileError(message if modelled else f"not modelled: {message}")
        problem.passed(self.unit, self.file, line_of(node))
        return problem

    def declare(self, node: object, name: str, type_: ApexType, *, is_final: bool = False) -> Local:
        """Give a variable a slot; a name that is visible already is refused."""
        folded = name.casefold()
        if any(folded in block for block in self._blocks):
            raise self.refused(node, f"Duplicate variable: {name}")
        local = Local(self.size, type_, is_final)
        self.size += 1
        self._blocks[-1][folded] = local
        return local

    def find(self, name: str) -> Local | None:
        """Return the variable that a name means."""
        folded = name.casefold()
        return next((block[folded] for block in self._blocks if folded in block), None)

    def open(self) -> None:
        """Begin a block of its own names."""
        self._blocks.append({})

    def close(self) -> None:
        """End the innermost block."""
        self._blocks.pop()

    def snapshot(self) -> Scope:
        """Return a scope with the names that are visible now, for text that is compiled later."""
        return Scope(
            self.world,
            self.cls,
            self.unit,
            self.file,
            self.is_static,
            accessor_of=self.accessor_of,
            _blocks=[dict(block) for block in self._blocks],
        )

    def type(self, reference: Node) -> ApexType:
        """Return the type that a reference names here."""
        try:
            return self.world.resolve(reference, self.cls)
        except NotModelled as problem:
            if not problem.places:
                problem.passed(self.unit, self.file, line_of(reference))
            raise

    def this(self) -> Code | None:
        """Return the instance that runs, None where there is none."""
        if self.cls is None or self.is_static:
            return None
        return Code(self.cls.type, this_run)

    def coerce(self, node: object, code: Code, target: ApexType, what: str = "assignment") -> Code:
        """Return code that gives the target's type; an illegal conversion is refused."""
        if code.is_query and target.kind is Kind.SOBJECT:
            code = single(code)
        convert = converter(self.world, code.type, target)
        if convert is None:
            raise self.refused(node, f"Illegal {what} from {code.type} to {target}")
        if convert is same:
            return Code(target, code.run)
        run = code.run
        return Code(target, lambda f: convert(run(f)))

    def may_use(self, owner: ClassInfo, modifiers: Modifiers, visibility: str) -> bool:
        """Say whether code here may use a member of a class."""
        if visibility in {"public", "global"} or self.cls is None:
            return visibility in {"public", "global"}
        if self.cls.outermost is owner.outermost:
            return True
        if visibility == "protected" and any(each is owner for each in self.cls.lineage()):
            return True
        return "testvisible" in modifiers.annotations and self.cls.is_test


def single(code: Code) -> Code:
    """Return a query's one record; QueryException for none or several.

    [langCon_apex_SOQL_single_row]
    """
    run: Run = code.run

    def one(frame: Frame) -> SObject:
        rows = run(frame)
        if not rows:
            throw("QueryException", "List has no rows for assignment to SObject")
        if len(rows) > 1:
            throw("QueryException", "List has more than 1 row for assignment to SObject")
        row: SObject = rows[0]
        return row

    return Code(code.type.args[0], one)
