"""`new`: instances, records, and lists, sets and maps with what they begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import null_pointer, throw
from tests.apex_runtime.language.calls import library_call
from tests.apex_runtime.language.code import SESSION, Code, Frame
from tests.apex_runtime.language.expressions import compile_as, compile_value, expression
from tests.apex_runtime.language.names import check_writeable, record_member
from tests.apex_runtime.language.overloads import candidates, choose
from tests.apex_runtime.objects import SObject
from tests.apex_runtime.parse import kind, optional, text
from tests.apex_runtime.types import (
    ID,
    INTEGER,
    SOBJECT,
    ApexType,
    Kind,
    list_of,
    map_of,
    set_of,
)

if TYPE_CHECKING:
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node


@expression("NewExpr")
def new(node: Node, scope: Scope) -> Code:  # noqa: PLR0911 (one case a node class)
    """Compile `new …`."""
    creator = node["creator"]
    match kind(creator):
        case "NewObject$NewStandard":
            return _instance(node, creator, scope)
        case "NewObject$NewKeyValue":
            return _record(node, creator, scope)
        case "NewObject$NewListLiteral":
            return _list_literal(creator, scope)
        case "NewObject$NewSetLiteral":
            return _set_literal(creator, scope)
        case "NewObject$NewMapLiteral":
            return _map_literal(creator, scope)
        case "NewObject$NewListInit":
            return _list_from(node, creator, scope)
        case "NewObject$NewSetInit":
            return _set_from(node, creator, scope)
        case "NewObject$NewMapInit":
            return _map_from(node, creator, scope)
        case other:
            raise scope.refused(node, f"new {other}", modelled=False)


def _instance(node: Node, creator: Node, scope: Scope) -> Code:
    type_ = scope.type(creator["type"])
    args = [compile_value(each, scope) for each in creator["inputParameters"]]
    if type_.kind is Kind.SOBJECT and type_ != SOBJECT and not args:
        return Code(type_, lambda _: SObject(type_.name))
    cls = scope.world.class_of(type_)
    if cls is None:
        known = scope.world.library_of(type_)
        made = candidates(known.constructors if known else (), {})
        chosen = choose(scope, node, f"new {type_}", made, args)
        return Code(type_, library_call(scope, node, chosen, None, args).run)
    if cls.form != "class" or "abstract" in cls.modifiers.flags:
        raise scope.refused(node, f"Type cannot be constructed: {type_}")
    chosen = choose(scope, node, f"new {type_}", candidates(cls.constructors, {}), args)
    constructor: Any = chosen.method
    if not scope.may_use(cls, constructor.modifiers, constructor.modifiers.visibility):
        raise scope.refused(node, f"Constructor is not visible: {type_}")
    runs = [
        scope.coerce(node, code, wanted, "argument").run
        for code, wanted in zip(args, chosen.types, strict=True)
    ]
    return Code(
        type_,
        lambda f: f[SESSION].construct(cls, constructor, [each(f) for each in runs]),
    )


def _record(node: Node, creator: Node, scope: Scope) -> Code:
    """Compile `new Lead(FirstName = 'x')`; a field given null is populated with null."""
    type_ = scope.type(creator["type"])
    if type_.kind is not Kind.SOBJECT or type_ == SOBJECT:
        raise scope.refused(node, f"{type_} has no field names in its constructor")
    fields = []
    for pair in creator["keyValues"]:
        name, field_type = record_member(scope, pair, type_, text(pair["name"]))
        check_writeable(scope, pair, type_, name)
        fields.append((name, compile_as(pair["value"], scope, field_type).run))
    return Code(type_, lambda f: SObject(type_.name, {name: run(f) for name, run in fields}))


def _list_literal(creator: Node, scope: Scope) -> Code:
    element = scope.type(creator["types"][0])
    runs = [compile_as(each, scope, element).run for each in creator["values"]]
    return Code(list_of(element), lambda f: ApexList(element, [each(f) for each in runs]))


def _set_literal(creator: Node, scope: Scope) -> Code:
    element = scope.type(creator["types"][0])
    runs = [compile_as(each, scope, element).run for each in creator["values"]]
    return Code(set_of(element), lambda f: ApexSet(element, [each(f) for each in runs]))


def _map_literal(creator: Node, scope: Scope) -> Code:
    key, value = (scope.type(each) for each in creator["types"])
    pairs = [
        (compile_as(pair["key"], scope, key).run, compile_as(pair["value"], scope, value).run)
        for pair in creator["pairs"]
    ]
    return Code(
        map_of(key, value),
        lambda f: ApexMap(key, value, [(first(f), second(f)) for first, second in pairs]),
    )


def _elements(node: Node, scope: Scope, source: Code, element: ApexType) -> Any:  # noqa: ANN401 (a Run)
    """Compile what a collection is made from: a list or set whose elements convert."""
    if source.type.name not in {"List", "Set"}:
        raise scope.refused(node, f"a collection of {element} from {source.type}")
    convert = scope.coerce(node, Code(source.type.args[0], lambda f: f[0]), element).run
    run = source.run

    def elements(f: Frame) -> list[Any]:
        items = run(f)
        if items is None:
            null_pointer()
        return [convert([item]) for item in items]

    return elements


def _list_from(node: Node, creator: Node, scope: Scope) -> Code:
    element = scope.type(creator["types"][0])
    given = optional(creator["expr"])
    if given is None:
        return Code(list_of(element), lambda _: ApexList(element))
    source = compile_value(given, scope)
    if source.type == INTEGER:
        run = source.run
        return Code(list_of(element), lambda f: ApexList(element, [None] * run(f)))
    elements = _elements(node, scope, source, element)
    return Code(list_of(element), lambda f: ApexList(element, elements(f)))


def _set_from(node: Node, creator: Node, scope: Scope) -> Code:
    element = scope.type(creator["types"][0])
    given = optional(creator["expr"])
    if given is None:
        return Code(set_of(element), lambda _: ApexSet(element))
    elements = _elements(node, scope, compile_value(given, scope), element)
    return Code(set_of(element), lambda f: ApexSet(element, elements(f)))


def _map_from(node: Node, creator: Node, scope: Scope) -> Code:
    """Compile `new Map<…>()`, of another map, or of records by their ids."""
    key, value = (scope.type(each) for each in creator["types"])
    given = optional(creator["expr"])
    if given is None:
        return Code(map_of(key, value), lambda _: ApexMap(key, value))
    source = compile_value(given, scope)
    run = source.run
    if source.type.name == "Map":
        scope.coerce(node, Code(source.type, run), map_of(key, value))
        return Code(map_of(key, value), lambda f: ApexMap(key, value, _present(run(f)).items()))
    is_records = source.type.name == "List" and source.type.args[0].kind is Kind.SOBJECT
    if not is_records or key.name not in {ID.name, "String"}:
        raise scope.refused(node, f"{map_of(key, value)} from {source.type}")
    scope.coerce(node, Code(source.type, run), list_of(value))
    return Code(map_of(key, value), lambda f: ApexMap(key, value, _by_id(_present(run(f)))))


def _present(value: Any) -> Any:  # noqa: ANN401 (a collection that must not be null)
    return null_pointer() if value is None else value


def _by_id(records: list[Any]) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for place, record in enumerate(records):
        record_id = None if record is None else record.fields.get("Id")
        if record_id is None:
            throw("ListException", f"Row with null Id at index: {place}")
        pairs.append((record_id, record))
    return pairs
