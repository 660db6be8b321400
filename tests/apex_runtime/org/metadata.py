"""What the package's own metadata says of the org: objects, events, settings, subscribers, sites.

Read from the source format under `apex/force-app`, never retyped. An element that is neither read
nor listed as without effect on execution is refused, so that nothing in it goes unmodelled.
Source: Metadata API Developer Guide (CustomObject, CustomField, PlatformEventSubscriberConfig,
RemoteSiteSetting).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.org.schema import Field, FieldType, Kind, ObjectType, OnDelete, declare_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAMESPACE: Final = "{http://soap.sforce.com/2006/04/metadata}"
_AUDIT: Final = """\
Id Id read_only
CreatedDate DateTime read_only
CreatedById Lookup(User) read_only
LastModifiedDate DateTime read_only
LastModifiedById Lookup(User) read_only
SystemModstamp DateTime read_only
IsDeleted Checkbox read_only"""
_EVENT: Final = """\
ReplayId Text(1333) read_only
EventUuid Text(36) read_only
CreatedDate DateTime read_only
CreatedById Lookup(User) read_only"""
_PREFIXES: Final = {Kind.RECORD: "a0", Kind.CUSTOM_SETTING: "a9", Kind.EVENT: "e0"}
# A text field that says no length has these many characters.
_LENGTHS: Final = {
    FieldType.TEXT_AREA: 255,
    FieldType.EMAIL: 80,
    FieldType.PHONE: 40,
    FieldType.URL: 255,
    FieldType.PICKLIST: 255,
}
_OBJECT_READ: Final = {
    *("customSettingsType", "visibility", "eventType", "publishBehavior", "nameField"),
}
_OBJECT_WITHOUT_EFFECT: Final = {
    *("label", "pluralLabel", "description", "deploymentStatus", "startsWith", "gender"),
    *("sharingModel", "externalSharingModel", "compactLayoutAssignment", "actionOverrides"),
    *("enableActivities", "enableBulkApi", "enableFeeds", "enableHistory", "enableLicensing"),
    *("enableReports", "enableSearch", "enableSharing", "enableStreamingApi", "searchLayouts"),
    "allowInChatterGroups",
}
_FIELD_READ: Final = {
    *("fullName", "type", "length", "precision", "scale", "required", "unique", "externalId"),
    *("defaultValue", "referenceTo", "deleteConstraint", "displayFormat", "encryptionScheme"),
}
_FIELD_WITHOUT_EFFECT: Final = {
    *("label", "description", "inlineHelpText", "visibleLines", "valueSet", "startingNumber"),
    *("relationshipLabel", "relationshipName", "relationshipOrder", "caseSensitive"),
    *("trackHistory", "trackTrending", "trackFeedHistory", "businessStatus"),
    *("securityClassification", "complianceGroup", "isFilteringDisabled", "isNameField"),
    *("isSortingDisabled", "writeRequiresMasterRead", "reparentableMasterDetail"),
}


@dataclass(frozen=True)
class SubscriberConfig:
    """How one trigger takes its platform events."""

    trigger: str
    batch_size: int
    user: str | None


@dataclass
class Metadata:
    """The package's types, event subscribers by trigger (folded) and active remote sites."""

    objects: dict[str, ObjectType] = field(default_factory=dict)
    subscribers: dict[str, SubscriberConfig] = field(default_factory=dict)
    remote_sites: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Metadata:
        """Read a package folder (`…/main/default`); what it lacks is simply not there."""
        found = cls()
        counts = dict.fromkeys(Kind, 0)
        for path in sorted(folder.glob("objects/*/*.object-meta.xml")):
            new = _object(path, counts)
            found.objects[new.name] = new
        for path in sorted(folder.glob("*latformEventSubscriberConfigs/*-meta.xml")):
            config = _Element.read(path)
            subscriber = SubscriberConfig(
                config.text("platformEventConsumer"),
                int(config.get("batchSize") or 2000),
                config.get("user"),
            )
            found.subscribers[subscriber.trigger.lower()] = subscriber
        for path in sorted(folder.glob("remoteSiteSettings/*-meta.xml")):
            site = _Element.read(path)
            if site.text("isActive") == "true":
                found.remote_sites.append(site.text("url"))
        return found


class _Element:
    """A metadata element with the file it is from, for messages."""

    def __init__(self, element: ET.Element, path: Path) -> None:
        self._element = element
        self.path = path

    @classmethod
    def read(cls, path: Path) -> _Element:
        return cls(ET.fromstring(path.read_bytes()), path)  # noqa: S314  the project's own files

    def get(self, name: str) -> str | None:
        found = self._element.findtext(f"{_NAMESPACE}{name}")
        return None if found is None else found.strip()

    def text(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise ValueError(f"{self.path}: no {name}")
        return found

    def says(self, name: str) -> bool:
        return self.get(name) == "true"

    def child(self, name: str) -> _Element | None:
        found = self._element.find(f"{_NAMESPACE}{name}")
        return None if found is None else _Element(found, self.path)

    def refuse_beyond(self, known: set[str]) -> None:
        names: Iterator[str] = (each.tag.removeprefix(_NAMESPACE) for each in self._element)
        unknown = sorted(set(names) - known)
        if unknown:
            raise ValueError(f"{self.path}: not modelled: {', '.join(unknown)}")


def _object(path: Path, counts: dict[Kind, int]) -> ObjectType:
    """Read an object's folder; `counts` numbers the key prefixes of its kind."""
    declared = _Element.read(path)
    declared.refuse_beyond(_OBJECT_READ | _OBJECT_WITHOUT_EFFECT)
    name = path.name.removesuffix(".object-meta.xml")
    kind = _kind(declared, name)
    fields = {each.name: each for each in _system_fields(declared, kind)}
    for field_path in sorted((path.parent / "fields").glob("*.field-meta.xml")):
        new = _field(_Element.read(field_path))
        fields[new.name] = new
    if any(each.type is FieldType.MASTER_DETAIL for each in fields.values()):
        fields.pop("OwnerId", None)
    counts[kind] += 1
    return ObjectType(
        name,
        f"{_PREFIXES[kind]}{counts[kind]}",
        kind,
        fields.values(),
        publish_immediately=declared.get("publishBehavior") == "PublishImmediately",
        protected=declared.get("visibility") == "Protected",
    )


def _kind(declared: _Element, name: str) -> Kind:
    """Tell what a custom type is; only hierarchy settings are modelled."""
    if name.endswith("__e"):
        return Kind.EVENT
    match declared.get("customSettingsType"):
        case None:
            return Kind.RECORD
        case "Hierarchy":
            return Kind.CUSTOM_SETTING
        case other:
            raise ValueError(f"{declared.path}: not modelled: customSettingsType {other}")


def _system_fields(declared: _Element, kind: Kind) -> list[Field]:
    """Return the fields that every type of a kind has by itself."""
    match kind:
        case Kind.EVENT:
            return list(declare_all(_EVENT))
        case Kind.CUSTOM_SETTING:
            own = "\nName Text(80)\nSetupOwnerId Lookup(Organization,Profile,User)"
            return list(declare_all(_AUDIT + own))
        case Kind.RECORD:
            name_field = declared.child("nameField")
            fields = list(declare_all(_AUDIT + "\nName Text(80)\nOwnerId Lookup(User)"))
            if name_field is not None and name_field.get("type") == "AutoNumber":
                shape = name_field.get("displayFormat")
                fields.append(Field("Name", FieldType.AUTO_NUMBER, read_only=True, default=shape))
            return fields
        case Kind.SETUP:
            raise AssertionError(declared.path)


def _field(declared: _Element) -> Field:
    """Read a custom field."""
    declared.refuse_beyond(_FIELD_READ | _FIELD_WITHOUT_EFFECT)
    kind = FieldType(declared.text("type"))
    length = declared.get("length") or declared.get("precision")
    scale = declared.get("scale")
    target = declared.get("referenceTo")
    cascade = kind is FieldType.MASTER_DETAIL
    constraint = declared.get("deleteConstraint") or ("Cascade" if cascade else "SetNull")
    return Field(
        name=declared.text("fullName"),
        type=kind,
        length=int(length) if length else _LENGTHS.get(kind),
        scale=int(scale) if scale else None,
        required=declared.says("required") or cascade,
        unique=declared.says("unique"),
        external_id=declared.says("externalId"),
        encrypted=kind is FieldType.ENCRYPTED_TEXT or declared.get("encryptionScheme") is not None,
        default=_default(declared),
        reference_to=(target,) if target else (),
        on_delete=OnDelete(constraint),
    )


def _default(declared: _Element) -> str | None:
    """Return a default as text; only literals are modelled, not formulas."""
    if declared.get("type") == FieldType.AUTO_NUMBER:
        return declared.get("displayFormat")
    written = declared.get("defaultValue")
    if written is None:
        return None
    if written.startswith(("'", '"')):
        return written[1:-1]
    if written in ("true", "false") or written.replace(".", "", 1).lstrip("-").isdigit():
        return written
    raise ValueError(f"{declared.path}: not modelled: defaultValue {written}")
