"""Records that others published, read as an org's JSON would hold them.

They stay outside the repository. CSV: a blank cell is null, so absent. sObject trees: `@Ref` values
and missing ids become ids made up from the file and the reference.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.objects import is_salesforce_id, long_id
from tests.published_files import CSV_FILES, DATA, HISTORY_FILE, JSON_FILES, STRINGS_FILE
from tests.published_schema import Kind, field_of, number, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEY_PREFIXES: Final = {
    "Account": "001",
    "Case": "500",
    "Contact": "003",
    "Event": "00U",
    "Lead": "00Q",
    "Opportunity": "006",
    "Task": "00T",
}
_STEP_FIELDS: Final = (
    "StageName",
    "Amount",
    "ExpectedRevenue",
    "CloseDate",
    "Probability",
    "ForecastCategory",
)
_REFERENCE: Final = re.compile(rf"@(\w*?({'|'.join(_KEY_PREFIXES)})Ref\d*)")


class Record(NamedTuple):
    """One published record; `fields` holds its id, and its numbers as `msgspec.Raw` digits."""

    path: str
    sobject: str
    fields: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.fields["Id"])


@cache
def records() -> tuple[Record, ...]:
    """Return every published record, file by file."""
    return tuple(record for path in (*CSV_FILES, *JSON_FILES) for record in read(path))


def read(path: str) -> Iterator[Record]:
    """Yield the records of one file."""
    if path in CSV_FILES:
        for place, row in enumerate(_rows(path)):
            yield _record(path, CSV_FILES[path], row, (path, str(place)))
        return
    document = json.loads((DATA / path).read_text(), parse_int=number, parse_float=number)
    for place, node in enumerate(_nodes(document)):
        attributes = node["attributes"]
        name = (_scope(path), attributes.get("referenceId", str(place)))
        yield _record(path, attributes["type"], node, name)


def stage_history() -> dict[str, list[dict[str, Any]]]:
    """Return what each step of each Opportunity's history set, oldest first, by record id."""
    steps: dict[str, list[dict[str, Any]]] = {}
    rows = sorted(
        _rows(HISTORY_FILE), key=lambda row: str(typed(row["CreatedDate"], Kind.DATETIME))
    )
    for row in rows:
        step = {
            name: typed(value, field_of("Opportunity", name).kind) if value else None
            for name, value in row.items()
            if name in _STEP_FIELDS
        }
        steps.setdefault(row["OpportunityId"], []).append(step)
    return steps


def naughty_strings() -> list[str]:
    """Return the strings that break programs."""
    strings: list[str] = json.loads((DATA / STRINGS_FILE).read_text())
    return strings


def make_id(sobject: str, *name: str) -> str:
    """Return the id of the record of that name: the same each time."""
    digest = hashlib.sha256("\x00".join(name).encode()).hexdigest()
    return long_id(_KEY_PREFIXES[sobject] + digest[:12])


def _rows(path: str) -> Iterator[dict[str, str]]:
    with (DATA / path).open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _nodes(document: Any, parent: str | None = None) -> Iterator[dict[str, Any]]:  # noqa: ANN401  any JSON document
    """Yield the records of a tree, a REST answer or a list; children point to their parent."""
    if isinstance(document, list):
        for item in document:
            yield from _nodes(item, parent)
    elif isinstance(document, dict):
        attributes = document.get("attributes", {})
        if attributes:
            yield document if parent is None else {**document, "AccountId": f"@{parent}"}
        for value in document.values():
            yield from _nodes(value, attributes.get("referenceId", parent))


def _record(path: str, sobject: str, node: Mapping[str, Any], name: tuple[str, str]) -> Record:
    record_id = node.get("Id") or node.get("sf_id") or make_id(sobject, *name)
    assert is_salesforce_id(record_id), (path, record_id)
    url = f"/services/data/v62.0/sobjects/{sobject}/{record_id}"
    fields: dict[str, Any] = {"attributes": {"type": sobject, "url": url}, "Id": record_id}
    for key, value in node.items():
        field = field_of(sobject, key)
        holds_children = isinstance(value, dict) and "records" in value
        is_blank_cell = value == "" and path in CSV_FILES
        if field.name not in fields and not holds_children and not is_blank_cell:
            fields[field.name] = _referred(path, typed(value, field.kind))
    return Record(path, sobject, fields)


def _referred(path: str, value: Any) -> Any:  # noqa: ANN401  any JSON value
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return make_id(match[2], _scope(path), match[1]) if match else value


def _scope(path: str) -> str:
    """Return within what references have one meaning: a folder, or a plan's files in it."""
    folder, _, file = path.partition("/")
    plan, is_of_plan, _ = file.partition("_")
    return f"{folder}/{plan}" if is_of_plan else folder
