"""The wire contract of an audit callout: which records an org has, and when each last changed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from pipeline.callout import ContractError, RequestId, SalesforceId, UnixMs, decode_body
from pipeline.objects import SObject, long_id

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RECORDS: Final = 5_000
# Before and after every record id, byte by byte.
FIRST_ID: Final = ""
LAST_ID: Final = "~"


class AuditRange(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one object with ids in (`after_id`, `to_id`], in the order of their ids.

    None is the object's beginning or its end. A record is its id and SystemModstamp (Unix ms).
    `read_at` (Unix ms) was taken before they were read; `audit_id` is the request that asked.
    """

    version: Literal[1]
    org_id: SalesforceId
    audit_id: RequestId
    read_at: UnixMs
    object: SObject
    after_id: SalesforceId | None = None
    to_id: SalesforceId | None = None
    records: Annotated[list[tuple[SalesforceId, UnixMs]], Meta(max_length=MAX_RECORDS)]

    @property
    def first(self) -> str:
        """The lower bound, which is not in the range."""
        return FIRST_ID if self.after_id is None else long_id(self.after_id)

    @property
    def last(self) -> str:
        """The upper bound, which is in the range."""
        return LAST_ID if self.to_id is None else long_id(self.to_id)


_decoder: Final = msgspec.json.Decoder(AuditRange)


def check(body: bytes) -> AuditRange:
    """Decode an audit callout and check that its ids ascend within its range.

    Raises:
        NotJsonError: not UTF-8, not JSON, or nested more than 100 levels deep.
        ContractError: JSON, but not this contract; names the place.
    """
    told = decode_body(body, _decoder)
    for index, (before, record_id) in enumerate(pairwise(_ids(told))):
        if not before < record_id <= told.last:
            raise ContractError(f"$.records[{index}][0]", "ids must ascend within the range")
    return told


def read(body: bytes) -> AuditRange:
    """Decode what ingest has checked.

    Raises:
        msgspec.DecodeError: the bytes are no such callout (poison, for a consumer).
    """
    return _decoder.decode(body)


def _ids(told: AuditRange) -> Iterator[str]:
    yield told.first
    for record_id, _ in told.records:
        yield long_id(record_id)
