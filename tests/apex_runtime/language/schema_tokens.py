"""Tokens of the schema: `Lead.SObjectType`, `Lead.Status`, `Schema.SObjectType.Lead`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.language.code import Code
from tests.apex_runtime.library.registry import platform_object
from tests.apex_runtime.types import ApexType, Kind

if TYPE_CHECKING:
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.objects import ApexObject
    from tests.apex_runtime.parse import Node

SOBJECT_TYPE = ApexType("SObjectType", Kind.LIBRARY)
SOBJECT_FIELD = ApexType("SObjectField", Kind.LIBRARY)
DESCRIBE = ApexType("DescribeSObjectResult", Kind.LIBRARY)


def sobject_type(name: str) -> ApexObject:
    """Return the token of an sObject type by its API name."""
    return platform_object("SObjectType", name=name)


def sobject_field(type_name: str, name: str) -> ApexObject:
    """Return the token of a field by API names."""
    return platform_object("SObjectField", object=type_name, name=name)


def description(name: str) -> ApexObject:
    """Return what `getDescribe()` gives for an sObject type by its API name."""
    fields = platform_object("SObjectTypeFields", name=name)
    return platform_object("DescribeSObjectResult", name=name, fields=fields)


def type_token(type_: ApexType) -> Code:
    """Compile `Lead.SObjectType`."""
    return Code(SOBJECT_TYPE, lambda _: sobject_type(type_.name))


def field_token(type_: ApexType, name: str) -> Code:
    """Compile `Lead.Status`."""
    return Code(SOBJECT_FIELD, lambda _: sobject_field(type_.name, name))


def describe_token(scope: Scope, node: Node, name: str) -> Code:
    """Compile `Schema.SObjectType.Lead`, the description of the type."""
    info = scope.world.sobject(name)
    if info is None:
        raise scope.refused(node, f"unknown sObject type {name}")
    spelled = info.schema.name
    return Code(DESCRIBE, lambda _: description(spelled))
