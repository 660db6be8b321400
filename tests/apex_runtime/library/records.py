"""`SObject`, its tokens and descriptions.

[apex_methods_system_sobject, apex_dynamic_describe_objects_understanding]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import cast, type_of
from tests.apex_runtime.language.schema_tokens import description, sobject_field, sobject_type
from tests.apex_runtime.library.registry import (
    InSession,
    define,
    define_enum,
    getter,
    named,
    platform_object,
)
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.record_fields import field_of
from tests.apex_runtime.types import OBJECT, STRING, ApexType

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.language.world import SObjectInfo
    from tests.apex_runtime.scalars import EnumValue
    from tests.apex_runtime.values import Value


def _info(session: Session, type_name: str) -> SObjectInfo:
    info = session.world.sobject(type_name)
    if info is None:
        raise NotModelled(f"sObject type {type_name}")
    return info


def _field(session: Session, record: SObject, field: str | ApexObject) -> tuple[str, ApexType]:
    """Return a field in API spelling with its type; SObjectException where there is none."""
    name = field if isinstance(field, str) else str(field.fields["name"])
    info = _info(session, record.type_name)
    if name.casefold() not in info.fields:
        throw("SObjectException", f"Invalid field {name} for {record.type_name}")
    return info.fields[name.casefold()]


def _get(session: Session, record: SObject, field: str | ApexObject) -> Value:
    if record.type_name == "AggregateResult":
        return _aggregate(record, str(field))
    return field_of(record, _field(session, record, field)[0])


def _aggregate(record: SObject, name: str) -> Value:
    folded = {key.casefold(): value for key, value in record.fields.items()}
    if name.casefold() not in folded:
        throw("SObjectException", f"Invalid field {name} for AggregateResult")
    return folded[name.casefold()]


def _put(session: Session, record: SObject, field: str | ApexObject, value: Value) -> Value:
    """Set a field; a value of another type is refused, as is a record of an after trigger."""
    name, type_ = _field(session, record, field)
    if record.read_only:
        throw("FinalException", "Record is read-only")
    if not _info(session, record.type_name).schema.writeable(name):
        throw("SObjectException", f"Field {name} is not editable")
    convert = cast(session.world, type_of(value), type_)
    if convert is None or (type_ == STRING and not isinstance(value, (str, type(None)))):
        throw("SObjectException", f"Illegal assignment from {type_of(value)} to {type_}")
    before = record.fields.get(name)
    record.fields[name] = convert(value)
    return before


def _populated(session: Session, record: SObject) -> ApexMap:
    del session
    return ApexMap(STRING, OBJECT, record.fields.items())


def _is_set(session: Session, record: SObject, field: str | ApexObject) -> bool:
    return _field(session, record, field)[0] in record.fields


def cloned(
    record: SObject,
    keeps_id: bool = False,  # noqa: FBT001, FBT002 (as Apex passes it)
    is_deep: bool = False,  # noqa: FBT001, FBT002 (as Apex passes it)
    keeps_times: bool = False,  # noqa: FBT001, FBT002 (as Apex passes it)
    keeps_number: bool = False,  # noqa: FBT001, FBT002 (as Apex passes it)
) -> SObject:
    """Return a copy of a record, without what identifies it unless that is kept."""
    if is_deep or keeps_number:
        raise NotModelled("a deep clone, or one that keeps auto numbers")
    copied = record.copy()
    for name in list(copied.fields):
        is_time = name in {"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"}
        drops_time = not keeps_times and (is_time or name == "SystemModstamp")
        if (name == "Id" and not keeps_id) or drops_time:
            del copied.fields[name]
    return copied


def _add_error(session: Session, record: SObject, message: str) -> None:
    session.platform.add_error(record, None, message)


def _add_field_error(
    session: Session, record: SObject, field: str | ApexObject, message: str
) -> None:
    session.platform.add_error(record, _field(session, record, field)[0], message)


define(
    "SObject",
    methods={
        "addError(String) void": InSession(_add_error),
        "addError(String,String) void": InSession(_add_field_error),
        "addError(SObjectField,String) void": InSession(_add_field_error),
        "clone() T": cloned,
        "clone(Boolean) T": cloned,
        "clone(Boolean,Boolean) T": cloned,
        "clone(Boolean,Boolean,Boolean) T": cloned,
        "clone(Boolean,Boolean,Boolean,Boolean) T": cloned,
        "get(String) Object": InSession(_get),
        "get(SObjectField) Object": InSession(_get),
        "getPopulatedFieldsAsMap() Map<String,Object>": InSession(_populated),
        "getSObjectType() SObjectType": lambda this: sobject_type(this.type_name),
        "isSet(String) Boolean": InSession(_is_set),
        "isSet(SObjectField) Boolean": InSession(_is_set),
        "put(String,Object) Object": InSession(_put),
        "put(SObjectField,Object) Object": InSession(_put),
    },
)


def _describe(this: ApexObject, _options: EnumValue | None = None) -> ApexObject:
    return description(str(this.fields["name"]))


def _new_record(session: Session, this: ApexObject, record_id: Value = None) -> SObject:
    record = SObject(_info(session, str(this.fields["name"])).schema.name)
    if record_id is not None:
        record.fields["Id"] = record_id
    return record


define_enum("SObjectDescribeOptions", "DEFAULT", "DEFERRED", "FULL")
define(
    "SObjectType",
    by_value=True,
    methods={
        "getDescribe() DescribeSObjectResult": _describe,
        "getDescribe(SObjectDescribeOptions) DescribeSObjectResult": _describe,
        "newSObject() SObject": InSession(_new_record),
        "newSObject(Id?) SObject": InSession(_new_record),
        "toString() String": getter("name"),
    },
)


def _field_map(session: Session, this: ApexObject) -> ApexMap:
    """Return fields by their lower-cased names, as the describe does."""
    info = _info(session, str(this.fields["name"]))
    entries = [
        (name.lower(), sobject_field(info.schema.name, name)) for name, _ in info.fields.values()
    ]
    return ApexMap(STRING, named("SObjectField"), entries)


def _prefix(session: Session, this: ApexObject) -> str:
    return _info(session, str(this.fields["name"])).schema.prefix


define(
    "DescribeSObjectResult",
    by_value=True,
    fields={"name": "String", "fields": "SObjectTypeFields"},
    methods={
        "getName() String": getter("name"),
        "getKeyPrefix() String": InSession(_prefix),
        "getSObjectType() SObjectType": lambda this: sobject_type(this.fields["name"]),
    },
)
define(
    "SObjectTypeFields",
    by_value=True,
    methods={"getMap() Map<String,SObjectField>": InSession(_field_map)},
)


def _describe_field(this: ApexObject) -> ApexObject:
    return platform_object("DescribeFieldResult", **this.fields)


define(
    "SObjectField",
    by_value=True,
    methods={
        "getDescribe() DescribeFieldResult": _describe_field,
        "toString() String": getter("name"),
    },
)


def _is_encrypted(session: Session, this: ApexObject) -> bool:
    schema = _info(session, str(this.fields["object"])).schema
    return this.fields["name"] in schema.encrypted


define(
    "DescribeFieldResult",
    by_value=True,
    methods={
        "getName() String": getter("name"),
        "getSObjectField() SObjectField": lambda this: platform_object(
            "SObjectField", **this.fields
        ),
        "isEncrypted() Boolean": InSession(_is_encrypted),
    },
)


def _describe_all(session: Session, names: ApexList, _options: EnumValue) -> ApexList:
    """Return a description for each named type, in their order."""
    described = [description(_info(session, str(name)).schema.name) for name in names]
    return ApexList(named("DescribeSObjectResult"), described)


_DESCRIBE_ALL = "describeSObjects(List<String>,SObjectDescribeOptions) List<DescribeSObjectResult>"

define("Schema", statics={_DESCRIBE_ALL: InSession(_describe_all)})


def _setting(*, merged: bool) -> Any:  # noqa: ANN401 (a function of the table)
    def read(session: Session, type_name: str, owner: str | None = None) -> SObject | None:
        return session.platform.custom_setting(type_name, owner, merged=merged)

    return InSession(read)


define(
    "CustomSetting",
    parameters=("S",),
    statics={
        "getInstance(String) S": _setting(merged=True),
        "getInstance(String,Id) S": _setting(merged=True),
        "getOrgDefaults(String) S": _setting(merged=False),
        "getValues(String,Id) S": _setting(merged=False),
    },
)
