"""Our signatures against those of the reference implementation, `standardwebhooks`."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pipeline.signing import (
    SECRET_PREFIX,
    InvalidSignature,
    key_of,
    new_secret,
    sign,
    signed_headers,
    verify,
)

SECRETS = st.binary(min_size=1, max_size=64).map(
    lambda key: SECRET_PREFIX + base64.b64encode(key).decode()
)
IDS = st.text(
    alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80
)
BODIES = st.text(max_size=200)
TIMES_S = st.integers(0, 4_000_000_000)
MADE_UP = [new_secret() for _ in range(2)]


def is_ours(secrets: list[str], headers: dict[str, str], body: bytes) -> bool:
    try:
        verify(
            keys=[key_of(secret) for secret in secrets],
            message_id=headers.get("webhook-id"),
            timestamp=headers.get("webhook-timestamp"),
            signatures=headers.get("webhook-signature"),
            body=body,
            now_s=time.time(),
        )
    except InvalidSignature:
        return False
    return True


def is_theirs(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError, binascii.Error, TypeError):
        # What is no signature at all, the reference does not catch.
        return False
    return True


@given(secret=SECRETS, message_id=IDS, at_s=TIMES_S, body=BODIES)
def test_both_sign_the_same(secret: str, message_id: str, at_s: int, body: str) -> None:
    at = dt.datetime.fromtimestamp(at_s, tz=dt.UTC)
    assert sign(secret, message_id, at_s, body.encode()) == Webhook(secret).sign(
        message_id, at, body
    )


@given(secret=SECRETS, message_id=IDS, body=BODIES)
def test_each_verifies_what_the_other_signed(secret: str, message_id: str, body: str) -> None:
    now_s = int(time.time())
    ours = signed_headers(secret, message_id, now_s, body.encode())
    assert is_theirs(secret, ours, body.encode())
    at = dt.datetime.fromtimestamp(now_s, tz=dt.UTC)
    theirs = {**ours, "webhook-signature": Webhook(secret).sign(message_id, at, body)}
    assert is_ours([secret], theirs, body.encode())


@given(
    off_s=st.sampled_from([-100_000, -400, -310, -290, -10, 0, 10, 290, 310, 400, 100_000]),
    signer=st.sampled_from(MADE_UP),
    tampered=st.sampled_from(["", "body", "webhook-id", "webhook-timestamp"]),
    before=st.lists(st.sampled_from(["v1,junk", "v2,AAAA", "v1,", "v1a,x"]), max_size=3),
    left_out=st.sampled_from(["", "webhook-id", "webhook-timestamp", "webhook-signature"]),
)
def test_both_come_to_the_same_verdict(
    off_s: int, signer: str, tampered: str, before: list[str], left_out: str
) -> None:
    at_s, body = int(time.time()) + off_s, b'{"version":1}'
    headers = signed_headers(signer, "msg_1", at_s, body)
    headers["webhook-signature"] = " ".join([*before, headers["webhook-signature"]])
    if tampered == "body":
        body += b" "
    elif tampered:
        headers[tampered] = headers[tampered][:-1] + chr(ord(headers[tampered][-1]) ^ 1)
    headers.pop(left_out, None)
    # Undecodable base64 in front makes the reference give up; here it is one that does not match.
    if "v1,junk" not in before:
        assert is_ours(MADE_UP[:1], headers, body) == is_theirs(MADE_UP[0], headers, body)
    either = any(is_theirs(secret, headers, body) for secret in MADE_UP)
    assert is_ours(MADE_UP, headers, body) or not either


GOOD = "good"
SIGNATURES = st.lists(
    st.sampled_from(
        [
            GOOD, "another's", "unpadded", "stray", "urlsafe", "lower", "padded more", "two commas",
            "v1a", "no version", "V1", "v1", "v1,", "v1,AAAA", "v2,AAAA", "v1a,AAAA", "", "\t",
            "v1,é", "v1,\u2028", "junk", ",", "v1;AAAA",
        ]
    ),
    max_size=11,
)  # fmt: skip
FORMS = st.sampled_from(["{}", "0{}", "000{}", "+{}", "{}.0", "{}.9", " {}", "{} ", "{}e0", "-{}"])
ANY_IDS = IDS | st.sampled_from(
    ["é", "a b", "a\tb", "m" * 255, "m" * 256, "\N{KELVIN SIGN}", "\x7f"]
)


def signature(kind: str, good: str, other: str) -> str:
    digest = good.removeprefix("v1,")
    made = {
        "good": good,
        "another's": other,
        "unpadded": good.rstrip("="),
        "stray": f"v1,{digest[:4]}!{digest[4:]}",
        "urlsafe": good.replace("+", "-").replace("/", "_"),
        "lower": "v1," + digest.lower(),
        "padded more": good + "==",
        "two commas": good + ",",
        "v1a": "v1a," + digest,
        "no version": "," + digest,
        "V1": "V1," + digest,
    }
    return made.get(kind, kind)


def where_we_are_stricter(headers: dict[str, str], good: str) -> str | None:
    """Say why we refuse what the reference takes: each is on purpose."""
    message_id, offered = headers["webhook-id"], headers["webhook-signature"].split(" ")
    if len(message_id) > 255 or not (message_id.isascii() and message_id.isprintable()):
        return "the id is kept with every change, and told in logs: it is short and plain"
    if not (headers["webhook-timestamp"].isascii() and headers["webhook-timestamp"].isdigit()):
        return "the specification's time is whole Unix seconds, not all that Python reads as float"
    if len(headers["webhook-timestamp"]) > 13:
        return "no time has so many digits"
    if good not in offered:
        return "a signature has one spelling: base64 is compared as text, not decoded leniently"
    if good not in offered[:8]:
        return "whoever sends more than eight signatures has us search for nothing"
    return None


@settings(max_examples=500, deadline=None)
@given(
    secret=SECRETS,
    message_id=ANY_IDS,
    off_s=st.sampled_from([-400, -310, -290, 0, 290, 310]) | st.integers(-280, 280),
    form=FORMS,
    kinds=SIGNATURES,
    body=BODIES,
)
def test_we_take_no_more_than_the_reference_and_less_only_on_purpose(  # noqa: PLR0913  all inputs
    *, secret: str, message_id: str, off_s: int, form: str, kinds: list[str], body: str
) -> None:
    at_s = int(time.time()) + off_s
    good = sign(secret, message_id, at_s, body.encode())
    other = sign(MADE_UP[0], message_id, at_s, body.encode())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": form.format(at_s),
        "webhook-signature": " ".join(signature(kind, good, other) for kind in kinds),
    }
    ours = is_ours([secret], headers, body.encode())
    theirs = is_theirs(secret, headers, body.encode())
    if ours and not theirs:
        # The reference gives up on the first that is no signature at all; we look at the next.
        theirs = is_theirs(secret, {**headers, "webhook-signature": good}, body.encode())
    assert ours == (theirs and where_we_are_stricter(headers, good) is None)


def test_a_body_that_is_not_utf8_is_verified_too_and_refused_as_json_later() -> None:
    headers = signed_headers(MADE_UP[0], "msg_1", int(time.time()), b"\xff")
    assert is_ours(MADE_UP[:1], headers, b"\xff")
    assert not is_theirs(MADE_UP[0], headers, b"\xff")


@given(key=st.binary(min_size=1, max_size=64))
def test_a_secret_of_ours_is_the_same_key_to_both_and_one_without_padding_is_none(
    key: bytes,
) -> None:
    secret = SECRET_PREFIX + base64.b64encode(key).decode()
    assert key_of(secret) == key
    headers = signed_headers(secret, "msg_1", int(time.time()), b"")
    assert is_theirs(secret.rstrip("="), headers, b"")
    if secret.endswith("="):
        # Nobody types one: it is handed on whole, or it is damaged.
        with pytest.raises(ValueError, match="whsec_ followed by base64"):
            key_of(secret.rstrip("="))
