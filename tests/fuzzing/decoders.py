"""The pure decoders alone: bytes that go through what ingest and workers read by."""

from __future__ import annotations

from typing import Final

from pipeline import audit, callout, envelope, json_text
from pipeline.callout import ContractError, NotJsonError
from pipeline.gzip_text import GzipError, Inflater, InflatesTooLargeError
from pipeline.signing import InvalidSignature, verify
from tests.fuzzing.edge import require_storable
from workers.received import decode

_ROOM_BYTES: Final = 65_536
_KEY: Final = b"k" * 32


def judge_decoders(content: bytes) -> str:
    """Read bytes as everything that they could be; return what they were.

    Raises:
        AssertionError: something that is promised of a decoder does not hold.
        Exception: a decoder raised what it does not say that it raises.
    """
    text = _inflated(content)
    kind = "other"
    if text is None:
        text = content
    else:
        kind = "gzip"
    masked = json_text.mask(text)
    assert json_text.unmask(masked) == text or not _is_json(text)
    try:
        told = callout.check(masked)
        assert len(callout.read(masked).changes) == len(told.changes)
        kind = "callout"
    except (NotJsonError, ContractError) as error:
        _require_quiet(error)
    try:
        audit.check(text)
        kind = "audit"
    except (NotJsonError, ContractError) as error:
        _require_quiet(error)
    if _has_envelope(content):
        kind = "message"
    _refuse_signature(content)
    return kind


def _inflated(content: bytes) -> bytes | None:
    inflater = Inflater(_ROOM_BYTES)
    try:
        text = inflater.feed(content)
        inflater.finish()
    except (GzipError, InflatesTooLargeError):
        return None
    assert len(text) <= _ROOM_BYTES
    return text


def _is_json(text: bytes) -> bool:
    try:
        callout.check(json_text.mask(text))
    except NotJsonError:
        return False
    except ContractError:
        return True
    return True


def _has_envelope(content: bytes) -> bool:
    """Check that whatever somebody publishes is unreadable, or is what a row can hold."""
    try:
        envelope.decode(content)
    except envelope.UNREADABLE:
        return False
    for change in decode(content).changes:
        require_storable([*change.key, change.callout_id, change.received_at, change.sequence])
        require_storable(change.transaction_id)
    return True


def _refuse_signature(content: bytes) -> None:
    message_id, _, rest = content.decode("latin-1").partition("\n")
    timestamp, _, signatures = rest.partition("\n")
    try:
        verify(
            keys=[_KEY],
            message_id=message_id,
            timestamp=timestamp,
            signatures=signatures,
            body=content,
            now_s=0.0,
        )
    except InvalidSignature:
        return
    raise AssertionError("forged")


def _require_quiet(error: NotJsonError | ContractError) -> None:
    """Check that an error names a place, and quotes nothing of what it refuses."""
    assert len(str(error)) < 500, error
    if isinstance(error, ContractError):
        assert error.place.startswith("$"), error
