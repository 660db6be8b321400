from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signing import (
    InvalidSignature,
    key_of,
    new_secret,
    sign,
    signed_headers,
    verify,
)

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"n" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
NOW_S = 1_795_430_400
BODY = b'{"version":1}'


def verified(secrets: tuple[str, ...] = (SECRET,), **changed: Any) -> int:
    """Verify what SECRET signed now, but for what is changed."""
    arguments: dict[str, Any] = {
        "message_id": "msg_1",
        "timestamp": str(NOW_S),
        "signatures": sign(SECRET, "msg_1", NOW_S, BODY),
        "body": BODY,
        "now_s": float(NOW_S),
        **changed,
    }
    return verify(keys=[key_of(secret) for secret in secrets], **arguments)


def test_a_signature_proves_its_key() -> None:
    assert verified() == 0


def test_of_two_live_secrets_either_is_good_and_is_told() -> None:
    assert verified((SECRET, NEXT_SECRET)) == 0
    assert verified((NEXT_SECRET, SECRET)) == 1
    with pytest.raises(InvalidSignature, match="no signature matches"):
        verified((NEXT_SECRET, OTHER_SECRET))
    with pytest.raises(InvalidSignature, match="no signature matches"):
        verified(())


def test_of_several_signatures_one_that_matches_is_enough() -> None:
    good, bad = sign(SECRET, "msg_1", NOW_S, BODY), sign(OTHER_SECRET, "msg_1", NOW_S, BODY)
    assert verified(signatures=f"{bad} {good}") == 0
    assert verified(signatures=f"v1a,{good[3:]} v2,x v1, junk {good}") == 0


def test_a_flood_of_signatures_is_not_searched() -> None:
    good = sign(SECRET, "msg_1", NOW_S, BODY)
    assert verified(signatures=" ".join(["v1,junk"] * 7 + [good])) == 0
    with pytest.raises(InvalidSignature, match="no signature matches"):
        verified(signatures=" ".join(["v1,junk"] * 1000 + [good]))


@pytest.mark.parametrize("off_s", [-300, -299.5, 0, 299.5, 300])
def test_a_clock_may_be_five_minutes_off(off_s: float) -> None:
    assert verified(now_s=NOW_S + off_s) == 0


@pytest.mark.parametrize("off_s", [-1e9, -301, -300.5, 300.5, 301, 1e9])
def test_a_message_out_of_its_time_is_refused(off_s: float) -> None:
    with pytest.raises(InvalidSignature, match="300 s off"):
        verified(now_s=NOW_S + off_s)


@pytest.mark.parametrize("header", ["message_id", "timestamp", "signatures"])
@pytest.mark.parametrize("value", [None, ""])
def test_every_header_is_required(header: str, value: str | None) -> None:
    with pytest.raises(InvalidSignature, match="are required"):
        verified((SECRET,), **{header: value})


@pytest.mark.parametrize(
    "timestamp",
    [
        "now",
        "-1795430400",
        "+1795430400",
        "1795430400.0",
        "1_795_430_400",
        " 1795430400",
        "0x6b0400",
        "1e9",
        "²",
        "١٧٩٥٤٣٠٤٠٠",
        "9" * 14,
        "9" * 100_000,
    ],
)
def test_a_time_that_is_no_plain_number_is_refused(timestamp: str) -> None:
    with pytest.raises(InvalidSignature, match="not a Unix time"):
        verified(timestamp=timestamp)


@pytest.mark.parametrize(
    "message_id",
    ["é", "msg\udcff", "msg\x00", "msg\n", "m" * 256, "\N{KELVIN SIGN}"],
)
def test_an_id_that_is_no_plain_text_is_refused(message_id: str) -> None:
    with pytest.raises(InvalidSignature, match="webhook-id"):
        verified(message_id=message_id)


def test_the_longest_id_is_taken() -> None:
    longest = "m" * 255
    signatures = sign(SECRET, longest, NOW_S, BODY)
    assert verified(message_id=longest, signatures=signatures) == 0


@pytest.mark.parametrize(
    "signatures",
    ["v1", "v1,", ",", " ", "v1,é", "v1,\udcff", "v2,abc", "v1;abc", "V1," + "A" * 43, "\x00"],
)
def test_junk_for_a_signature_is_refused(signatures: str) -> None:
    with pytest.raises(InvalidSignature, match="no signature matches"):
        verified(signatures=signatures)


@pytest.mark.parametrize(
    "changed",
    [{"body": BODY + b" "}, {"message_id": "msg_2"}, {"timestamp": str(NOW_S + 1)}, {"body": b""}],
)
def test_whatever_is_signed_cannot_be_changed(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature, match="no signature matches"):
        verified(**changed)


@given(
    message_id=st.text(max_size=20),
    timestamp=st.text(max_size=20),
    signatures=st.text(max_size=60),
    body=st.binary(max_size=20),
)
def test_whatever_the_headers_hold_the_answer_is_no(
    message_id: str, timestamp: str, signatures: str, body: bytes
) -> None:
    with pytest.raises(InvalidSignature) as refused:
        verified(message_id=message_id, timestamp=timestamp, signatures=signatures, body=body)
    assert SECRET.removeprefix("whsec_") not in str(refused.value)


def test_the_three_headers_are_the_standards() -> None:
    headers = signed_headers(SECRET, "msg_1", NOW_S, BODY)
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": sign(SECRET, "msg_1", NOW_S, BODY),
    }


def test_new_secrets_are_new_and_32_bytes_long() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(key_of(secret)) for secret in secrets} == {32}
    assert all(secret.startswith("whsec_") for secret in secrets)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_abc", "whsec_é", "plain text"])
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ followed by base64") as refused:
        key_of(secret)
    assert refused.value.__suppress_context__
