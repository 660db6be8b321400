"""All sObject types of one org: the standard ones, the package's own, and what tests add."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.schema import Formula, ObjectType, declare
from tests.apex_runtime.org.standard_objects import standard_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apex_runtime.org.metadata import Metadata


class Catalog:
    """Types by name in any case; `describe` is what a program is compiled against."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        types = {**standard_objects(), **{n: t.copy() for n, t in metadata.objects.items()}}
        self._by_name = {name.lower(): each for name, each in types.items()}
        self._by_prefix = {each.prefix: each for each in types.values()}

    def describe(self, name: str) -> ObjectType | None:
        """Return a type, None where the org has none of that name."""
        return self._by_name.get(name.lower())

    def __getitem__(self, name: str) -> ObjectType:
        found = self.describe(name)
        if found is None:
            raise NotModelled(f"sObject type {name}")
        return found

    def __iter__(self) -> Iterator[ObjectType]:
        return iter(self._by_name.values())

    def of_id(self, record_id: str) -> ObjectType | None:
        """Return the type whose key prefix an id has."""
        return self._by_prefix.get(record_id[:3])

    def add_field(
        self,
        object_name: str,
        declaration: str,
        *,
        formula: Formula | None = None,
    ) -> None:
        """Add a field to a type: `add_field("Lead", "Score__c Number(4,0)")`.

        With a `formula` the field is computed from the stored ones whenever it is read.
        """
        new = declare(declaration)
        if formula is not None:
            new = replace(new, formula=formula, read_only=True)
        self[object_name].add(new)
