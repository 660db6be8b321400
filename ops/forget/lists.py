"""Who asked not to be mailed stays so: on both lists the keyed hash stands for the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ops.forget.people import Theirs
    from pipeline.database import Connection

_HASH_OPT_OUTS: Final = """
    UPDATE opt_out SET address = penstock_address_mark(org_id, address)
    WHERE org_id = $1 AND address NOT LIKE 'address:%'
      AND (record_id = ANY($2::text[]) OR address = ANY($3::text[]))"""
_DELETE_OPT_OUTS: Final = """
    DELETE FROM opt_out
    WHERE org_id = $1 AND record_id = ANY($2::text[]) AND NOT opted_out AND NOT bounced"""
_HASH_SUPPRESSED: Final = """
    INSERT INTO suppression (org_id, value, reason)
    SELECT org_id, penstock_address_mark(org_id, value), 'forgotten' FROM suppression
    WHERE value = ANY($2::text[]) AND org_id IN ('', $1)
    ON CONFLICT DO NOTHING"""
_DELETE_SUPPRESSED: Final = """
    DELETE FROM suppression WHERE value = ANY($2::text[]) AND org_id IN ('', $1)"""
_BLOCK: Final = """
    INSERT INTO suppression (org_id, value, reason)
    SELECT $1, penstock_address_mark($1, address), 'forgotten' FROM unnest($2::text[]) AS address
    ON CONFLICT DO NOTHING"""


async def hash_addresses(connection: Connection, theirs: Theirs, *, is_blocked: bool) -> None:
    """Put the hashes in the addresses' place. `is_blocked`: suppress them whatever was said."""
    org_id, addresses, record_ids = theirs
    await connection.execute(_HASH_OPT_OUTS, org_id, record_ids, addresses)
    await connection.execute(_DELETE_OPT_OUTS, org_id, record_ids)
    await connection.execute(_HASH_SUPPRESSED, org_id, addresses)
    await connection.execute(_DELETE_SUPPRESSED, org_id, addresses)
    if is_blocked:
        await connection.execute(_BLOCK, org_id, addresses)
