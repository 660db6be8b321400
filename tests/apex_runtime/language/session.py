"""One transaction of a program: statics, running frames, what was executed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap
from tests.apex_runtime.errors import LimitReached, NotModelled
from tests.apex_runtime.language.bodies import compile_unit
from tests.apex_runtime.language.conversion import conforms, converter, type_of
from tests.apex_runtime.language.declarations import ClassInfo, FieldInfo, MethodInfo
from tests.apex_runtime.language.schema_tokens import sobject_type
from tests.apex_runtime.language.text import text_of
from tests.apex_runtime.library.registry import enum_constant
from tests.apex_runtime.objects import ApexObject
from tests.apex_runtime.parse import parse
from tests.apex_runtime.types import ID, SOBJECT, ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.apex_runtime.language.code import Frame, Run
    from tests.apex_runtime.parse import Node
    from tests.apex_runtime.platform import Binder, Platform
    from tests.apex_runtime.program import Program, Trigger, TriggerContext
    from tests.apex_runtime.scalars import Id
    from tests.apex_runtime.values import SObject, Value

_MAX_DEPTH = 1_000
_PYTHON_FRAMES_PER_CALL = 14
_TICKS_PER_CHECK = 5_000


class Session:
    """One transaction of a program: statics, the frames that run, what was executed.

    `log` is what `System.debug` wrote, `counts` how often each line of `World.lines` was executed.
    """

    def __init__(self, program: Program, platform: Platform) -> None:
        self.program = program
        self.world = program.world
        self.platform = platform
        self.statics: dict[FieldInfo, Value] = {}
        self.frames: list[Frame] = []
        self.counts = [0] * len(self.world.lines)
        self.log: list[str] = []
        self._ready: set[ClassInfo] = set()
        self._triggers: list[tuple[Trigger, TriggerContext, dict[str, Value]]] = []
        self._ticks = _TICKS_PER_CHECK
        deep = _MAX_DEPTH * _PYTHON_FRAMES_PER_CALL
        sys.setrecursionlimit(max(sys.getrecursionlimit(), deep))

    @property
    def coverage(self) -> set[tuple[str, int]]:
        """(file, line) of every statement executed so far."""
        lines = self.world.lines
        return {lines[line_id] for line_id, count in enumerate(self.counts) if count}

    @property
    def statements(self) -> int:
        """How many statements were executed so far, which stands for CPU time."""
        return sum(self.counts)

    def enter(self, frame: Frame) -> None:
        """Begin a call; LimitReached when calls are nested too deep."""
        self.frames.append(frame)
        if len(self.frames) > _MAX_DEPTH:
            self.frames.pop()
            raise LimitReached(f"Maximum stack depth reached: {_MAX_DEPTH + 1}")
        self.tick()

    def tick(self) -> None:
        """Count a call or a turn of a loop; have the heap looked at now and then."""
        self._ticks -= 1
        if self._ticks < 0:
            self._ticks = _TICKS_PER_CHECK
            self.platform.check_heap()

    def run_trigger(self, trigger: Trigger, context: TriggerContext) -> None:
        """Run a trigger's body."""
        self._triggers.append((trigger, context, self._trigger_values(trigger, context)))
        try:
            self.program.trigger_bodies[trigger.name].invoke(self, None, ())
        finally:
            self._triggers.pop()

    def _trigger_values(self, trigger: Trigger, context: TriggerContext) -> dict[str, Value]:
        """Return the context variables that hold records; the lists can't be changed."""
        info = self.world.sobject(trigger.object_name)
        records = SOBJECT if info is None else ApexType(info.schema.name, Kind.SOBJECT)
        values: dict[str, Value] = {}
        for name, rows in (("new", context.new), ("old", context.old)):
            values[name] = values[f"{name}map"] = None
            if rows is None:
                continue
            listed = ApexList(records, rows)
            listed.read_only = True
            values[name] = listed
            if not (name == "new" and context.operation == "BEFORE_INSERT"):
                values[f"{name}map"] = ApexMap(
                    ID, records, [(row.fields["Id"], row) for row in rows if "Id" in row.fields]
                )
        return values

    def trigger_variable(self, name: str) -> Value:
        """Return a variable of `Trigger` by its folded name."""
        if not self._triggers:
            return False if name.startswith("is") else None
        _, context, values = self._triggers[-1]
        match name:
            case "new" | "old" | "newmap" | "oldmap":
                return values[name]
            case "isexecuting":
                return True
            case "size":
                return len(context.new or context.old or ())
            case "operationtype":
                return enum_constant("TriggerOperation", context.operation)
            case _:
                return name.removeprefix("is").upper() in context.operation.split("_")

    def new(self, class_name: str, args: Sequence[Value] = ()) -> ApexObject:
        """Make an instance of a class of the program."""
        cls = self._class(class_name)
        return self.construct(cls, *self._fitting(class_name, cls.constructors, args))

    def call(self, target: ApexObject | str, method: str, args: Sequence[Value] = ()) -> Value:
        """Call a method of an instance, or a static one of a class by name, whatever its access."""
        if isinstance(target, str):
            cls = self._class(target)
            among = [m for each in cls.lineage() for m in each.methods.get(method.casefold(), ())]
            chosen, converted = self._fitting(
                f"{target}.{method}", [m for m in among if m.is_static], args
            )
            value: Value = self.call_static(chosen, converted)
            return value
        if not isinstance(target.cls, ClassInfo):
            raise NotModelled(f"a call of {target.cls.name}.{method}")
        named = [m for (name, _), m in target.cls.vtable.items() if name == method.casefold()]
        chosen, converted = self._fitting(f"{target.cls.name}.{method}", named, args)
        result: Value = chosen.invoke(self, target, converted)
        return result

    def _class(self, name: str) -> ClassInfo:
        cls = self.world.classes.get(name.casefold())
        if cls is None:
            raise NotModelled(f"class {name}, which the program has not")
        return cls

    def _fitting(
        self, name: str, among: Iterable[MethodInfo], args: Sequence[Value]
    ) -> tuple[MethodInfo, list[Value]]:
        """Return the one method that takes values such as these, and the values converted."""
        for method in among:
            if len(method.types) != len(args):
                continue
            converted: list[Value] = []
            for value, type_ in zip(args, method.types, strict=True):
                convert = converter(self.world, type_of(value), type_)
                if convert is None and value is not None and conforms(self.world, value, type_):
                    converted.append(value)
                elif convert is not None:
                    converted.append(convert(value))
            if len(converted) == len(args):
                return method, converted
        given = ", ".join(str(type_of(each)) for each in args)
        raise NotModelled(f"{name}({given}): no method takes these")

    def construct(
        self, cls: ClassInfo, constructor: MethodInfo, args: Sequence[Value]
    ) -> ApexObject:
        """Make an instance by one of its class's constructors."""
        if cls not in self._ready:
            self.initialize(cls)
        made = ApexObject(cls)
        if cls.is_a("exception"):
            made.fields.update(message=None, cause=None)
        for each in cls.lineage():
            made.fields.update(
                (field.name, None) for field in each.fields.values() if not field.is_static
            )
        constructor.invoke(self, made, args)
        return made

    def call_static(self, method: MethodInfo, args: Sequence[Value]) -> Any:  # noqa: ANN401 (a Value of the type it declares)
        """Call a static method; the first use of its class initializes that."""
        if method.owner is not None and method.owner not in self._ready:
            self.initialize(method.owner)
        return method.invoke(self, None, args)

    def initialize(self, cls: ClassInfo) -> None:
        """Give a class its statics, once a transaction: null first, then its initializers."""
        if cls in self._ready:
            return
        self._ready.add(cls)
        if cls.superclass is not None:
            self.initialize(cls.superclass)
        self.statics.update((field, None) for field in cls.fields.values() if field.is_static)
        self.run_steps(cls.static_steps, None, cls.steps_size)

    def run_steps(self, steps: Sequence[Run], this: Value, size: int) -> None:
        """Run initializers on a frame of their own."""
        if not steps:
            return
        frame: Frame = [self, this, *([None] * (size - 2))]
        self.enter(frame)
        try:
            for step in steps:
                step(frame)
        finally:
            self.frames.pop()

    def anonymous(self, source: str) -> None:
        """Run anonymous Apex."""
        unit = parse(source, "(anonymous)", anonymous=True)
        body = compile_unit(self.world, unit["members"], "AnonymousBlock", "(anonymous)", None)
        self.program.refuse_problems()
        self.counts += [0] * (len(self.world.lines) - len(self.counts))
        body.invoke(self, None, ())

    def roots(self) -> list[Value]:
        """Return what the running frames and the statics hold, for `heap_bytes`."""
        held: list[Value] = list(self.statics.values())
        for frame in self.frames:
            held += frame[1:]
        for _, _, values in self._triggers:
            held += values.values()
        return held

    def new_list(self, element: ApexType, values: Iterable[Value]) -> ApexList:
        """Return a list of values."""
        return ApexList(element, values)

    def count(self, query: Node, bind: Binder) -> int:
        """Return what `SELECT COUNT()` counts."""
        (row,) = self.platform.query(query, bind)
        counted = row.fields["expr0"]
        assert isinstance(counted, int)
        return counted

    def object_text(self, value: ApexObject) -> str:
        """Return an instance as text: by its own `toString()`, else by its fields."""
        if value.cls.is_a("exception"):
            message = value.fields.get("message")
            name = value.cls.name if isinstance(value.cls, ClassInfo) else _full_name(value)
            return name if message is None else f"{name}: {message!s}"
        if not isinstance(value.cls, ClassInfo):
            if value.cls.by_value:
                return text_of(self, value.fields["name"])
            return f"{value.cls.name}:[]"
        own = value.cls.vtable.get(("tostring", ()))
        if own is not None:
            return str(own.invoke(self, value, ()))
        fields = ", ".join(f"{name}={text_of(self, each)}" for name, each in value.fields.items())
        return f"{value.cls.name}:[{fields}]"

    def type_of_id(self, record_id: Id) -> ApexObject:
        """Return the token of the type whose records' ids begin so."""
        return sobject_type(self.platform.type_of_id(record_id))

    def records(self, value: SObject | ApexList) -> list[SObject]:
        """Return a record or a list of records as a list."""
        return list(value) if isinstance(value, ApexList) else [value]  # type: ignore[arg-type]  # a list of records


def _full_name(value: ApexObject) -> str:
    name = value.cls.name
    return name if "." in name else f"System.{name}"
