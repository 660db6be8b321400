"""What is known of an org's fields: descriptions that were given, and samples of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import OpsError
from pipeline import json_text
from pipeline.objects import SObject
from rules.checks.catalog import Catalog, Field, ObjectFields, learnt_fields
from rules.checks.describe import DescribeError, read_describes
from rules.paths import key_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection

# Enough for what an org uses to show, and read in some 20 ms.
SAMPLE_RECORD_COUNT: Final = 500
MAX_DESCRIBE_BYTES: Final = 32 * 1024 * 1024

_READ_DESCRIBED: Final = "SELECT object, fields::text FROM described_object WHERE org_id = $1"
# Ids of an object begin alike and grow, so the newest records are the last of a range of the key.
_SAMPLE: Final = """
    SELECT fields::text FROM record
    WHERE org_id = $1 AND record_id >= $2 AND record_id < $3 AND object = $4
    ORDER BY record_id DESC LIMIT $5"""
_WRITE: Final = """
    INSERT INTO described_object (org_id, object, fields)
    SELECT $1, described.object, described.fields::jsonb
    FROM unnest($2::text[], $3::text[]) AS described (object, fields)
    ON CONFLICT (org_id, object) DO UPDATE SET fields = excluded.fields, described_at = now()"""

_fields: Final = msgspec.json.Decoder(tuple[Field, ...])


class DescribedObject(msgspec.Struct, frozen=True):
    """An object whose description was read."""

    object: str
    field_count: int


async def described(connection: Connection, org_id: str) -> Catalog:
    """Return what descriptions say of the org's objects."""
    rows = await connection.fetch(_READ_DESCRIBED, org_id)
    return Catalog(
        {
            SObject(row["object"]): ObjectFields(
                _fields.decode(json_text.unmask(row["fields"].encode())), described=True
            )
            for row in rows
        }
    )


async def catalog(connection: Connection, org_id: str, objects: Iterable[SObject]) -> Catalog:
    """Return what is known of the fields of `objects`: described, else learnt from records."""
    found = await described(connection, org_id)
    known = {sobject: found.of(sobject) for sobject in SObject if found.of(sobject)}
    for sobject in sorted(set(objects) - known.keys()):
        known[sobject] = await _learnt(connection, org_id, sobject)
    return Catalog(known)


async def _learnt(connection: Connection, org_id: str, sobject: SObject) -> ObjectFields:
    prefix = key_prefix(sobject)
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    rows = await connection.fetch(
        _SAMPLE, org_id, prefix, after, sobject.value, SAMPLE_RECORD_COUNT
    )
    return learnt_fields(json_text.decode_fields(row["fields"].encode()) for row in rows)


def read_files(files: Iterable[tuple[str, bytes]]) -> dict[SObject, tuple[Field, ...]]:
    """Return the fields of the objects that files describe.

    Raises:
        OpsError: a file is no description, or one of an object that Penstock does not carry, or
            two describe one object.
    """
    fields: dict[SObject, tuple[Field, ...]] = {}
    for name, content in files:
        if len(content) > MAX_DESCRIBE_BYTES:
            raise OpsError(f"{name} is larger than {MAX_DESCRIBE_BYTES // 1024**2} MiB")
        try:
            found = read_describes(content)
        except DescribeError as error:
            raise OpsError(f"{name} {error}") from None
        for one in found:
            if one.object in fields:
                raise OpsError(f"{name} describes {one.object}, which was described before")
            fields[one.object] = one.fields
    return fields


async def write(
    connection: Connection, org_id: str, fields: dict[SObject, tuple[Field, ...]]
) -> list[DescribedObject]:
    """Keep descriptions in place of earlier ones of the same objects."""
    objects = sorted(fields)
    texts = [json_text.mask(msgspec.json.encode(fields[one])).decode() for one in objects]
    await connection.execute(_WRITE, org_id, [one.value for one in objects], texts)
    return [DescribedObject(one.value, len(fields[one])) for one in objects]
