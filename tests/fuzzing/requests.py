"""Requests that are almost right: a document, how it is signed, compressed and framed."""

from __future__ import annotations

import gzip
import time
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.signing import signed_headers
from tests.fuzzing.choices import one_of, seldom
from tests.fuzzing.documents import document
from tests.salesforce import ORG_ID
from tests.unit.ingest.edge import SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzzing.choices import Choices

CODE: Final = "whsec_b25lLXRpbWUgY29ubmVjdCBjb2RlIG9mIHRlc3Rz"
OTHER: Final = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBvZiB0ZXN0cw=="
# Longest body that the edge under test takes.
MAX_BODY_BYTES: Final = 64 * 1024

_ROUTES: Final = (*["changes"] * 6, "audit", "heartbeat", "handshake", "conditions")
_ADDRESSES: Final = (
    f"/v1/orgs/{ORG_ID}/{{}}", f"/v1/orgs/{ORG_ID[:15]}/{{}}", "/v1/orgs/%00/{}",
    "/v1/orgs/%ff%2f/{}", "/v1/orgs//{}", "/v1/orgs/{}", "/", "*",
    f"//v1/orgs/{ORG_ID}/{{}}",
    f"/v1/orgs/{ORG_ID}/{{}}?a=%00", f"/v1/orgs/{ORG_ID}/{{}}#x", f"/v1/orgs/{ORG_ID}/x/../{{}}",
    f"http://elsewhere.example/v1/orgs/{ORG_ID}/{{}}", "http://[::1/{}",
    "/v1/orgs/00D5g000004Othr/{}",
    f"/v1/orgs/{ORG_ID}/%7b{{}}", "/" + "x" * 7000, f"/v1/orgs/{ORG_ID.lower()}/{{}}",
)  # fmt: skip
_TIMES: Final = (
    "0", "-1", "", "1e9", "9" * 14, "9" * 400, "0x10", "+1", " 1", "NaN", "1.5", "\u0661", "null",
)  # fmt: skip
_SIGNATURES: Final = (
    "", "v1", "v1,", "v1,AAAA", "v1a,AAAA", "v1,\u00e9", "v1,===", ",", "v1,A v1,B " * 500, "v2,x",
)  # fmt: skip
_HEADERS: Final[Sequence[str]] = (
    "X: ", "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: \u00ff/; charset=\u00ff",
    "Expect: 100-continue", "Expect: the worst", "Connection: close", "Connection: upgrade",
    "Upgrade: websocket", "Upgrade: h2c", "Connection: keep-alive, upgrade", "Cookie: a=\u00ff;;=",
    "Accept: text/html", "Range: bytes=0-", "If-None-Match: *", "X-Forwarded-For: \u00ff",
    "webhook-id: again", "webhook-timestamp: 1", "webhook-signature: v1,AAAA", "X: " + "x" * 9000,
    "Host: elsewhere.example", "Authorization: Basic \u00ff",
    "Content-Encoding: gzip",
    "Content-Encoding: deflate", "Content-Encoding: gzip, gzip", "Content-Encoding: ",
    "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked", "Content-Length : 1", " folded: x", "\tfolded", "nocolon", ": x",
    "X\x00: y", "X: \x00", "X: a\rb", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: +1",
    "Content-Length: 0x5", "Content-Length: 1, 1", "Content-Length: " + "9" * 30, "Trailer: x",
)  # fmt: skip
_EMPTY: Final = gzip.compress(b"")
# Exactly what is taken, twice that, and 256 MiB.
_BOMBS: Final = tuple(gzip.compress(bytes(MAX_BODY_BYTES * times)) for times in (1, 2, 4096))


class Sent(NamedTuple):
    """A request as bytes in pieces, for a text. `is_forged`: it is not signed, or not as it may."""

    route: str
    pieces: list[bytes]
    text: bytes
    is_forged: bool


def request(choices: Choices) -> Sent:
    """Return one request."""
    route = one_of(choices, _ROUTES)
    text = b"" if route == "conditions" else document(choices, route)
    if seldom(choices, 24):
        text = choices.rest()
    headers, is_forged = _signature(choices, route, text)
    sent, encoding = _compressed(choices, text)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if encoding:
        lines.append(f"Content-Encoding: {encoding}")
    framed, framing = _framed(choices, sent)
    lines += framing
    while seldom(choices, 12):
        lines.insert(choices.number(len(lines) + 1), one_of(choices, _HEADERS))
    method = "GET" if route == "conditions" else "POST"
    address, version, end = _ADDRESSES[0], "HTTP/1.1", "\r\n"
    if seldom(choices):
        match choices.number(4):
            case 0:
                method = one_of(choices, ("GET", "PUT", "get", "OPTIONS", "\u00ff", ""))
            case 1:
                version = one_of(choices, ("HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ", "http/1.1", ""))
            case 2:
                end = "\n"
            case _:
                address = one_of(choices, _ADDRESSES)
    address = address.replace("{}", route)
    head = end.join([f"{method} {address} {version}", "Host: penstock", *lines, "", ""])
    return Sent(
        route, _in_pieces(choices, head.encode("latin-1", "replace") + framed), text, is_forged
    )


def _signature(choices: Choices, route: str, text: bytes) -> tuple[dict[str, str], bool]:
    """Return the headers that sign a text, and whether they cannot be taken for right."""
    secret, now_s = CODE if route == "handshake" else SECRET, int(time.time())
    headers = signed_headers(secret, "msg_1", now_s, text)
    if not seldom(choices):
        return headers, False
    match choices.number(7):
        case 0:
            return signed_headers(OTHER, "msg_1", now_s, text), True
        case 1:
            off_s = choices.number(560) - 280
            return signed_headers(secret, "msg_1", now_s + off_s, text), False
        case 2:
            off_s = one_of(choices, (-10_000, -320, 320, 10_000))
            return signed_headers(secret, "msg_1", now_s + off_s, text), True
        case 3:
            return {**headers, "webhook-timestamp": one_of(choices, _TIMES)}, True
        case 4:
            return {**headers, "webhook-signature": one_of(choices, _SIGNATURES)}, True
        case 5:
            odd = one_of(choices, ("", "\u00ff", "m" * 256, "a b", "a\tb", "m" * 7000))
            return {**headers, "webhook-id": odd}, True
        case _:
            del headers[one_of(choices, list(headers))]
            return headers, True


def _compressed(choices: Choices, text: bytes) -> tuple[bytes, str | None]:
    """Return a body as it is sent, and the Content-Encoding that is said of it."""
    if not seldom(choices, 8):
        return text, None
    packed = gzip.compress(text, 1, mtime=0)
    middle = len(text) // 2
    match choices.number(13):
        case 0 | 1 | 2:
            return packed, "gzip"
        case 3:
            return gzip.compress(text[:middle]) + gzip.compress(text[middle:]), "GZip"
        case 4:
            return packed[: choices.number(max(1, len(packed)))], "gzip"
        case 5:
            return packed + one_of(
                choices, (b"\x00", b"x", packed, packed[:9], b"\x1f\x8b")
            ), "gzip"
        case 6:
            return one_of(choices, _BOMBS), "gzip"
        case 7:
            return _EMPTY * one_of(choices, (90, 120)) + packed, "gzip"
        case 8:
            # All of the text, and not all of its checksum.
            return packed[: -1 - choices.number(8)], "gzip"
        case 9:
            return zlib.compress(text), one_of(choices, ("deflate", "gzip"))
        case 10:
            place = choices.number(max(1, len(packed)))
            flipped = packed[place] ^ (1 << choices.number(8))
            return packed[:place] + bytes([flipped]) + packed[place + 1 :], "gzip"
        case 11:
            return text, "gzip"
        case _:
            return choices.rest(), "gzip"


def _framed(choices: Choices, body: bytes) -> tuple[bytes, list[str]]:
    """Return a body as it stands on the wire, and the headers that say where it ends."""
    plain = f"Content-Length: {len(body)}"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    following = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    if not seldom(choices):
        return body, [plain]
    match choices.number(10):
        case 0 | 1:
            return chunked, ["Transfer-Encoding: chunked"]
        case 2:
            return body[:-1], [plain]
        case 3:
            return body + following, [plain]
        case 4:
            return chunked + following, ["Transfer-Encoding: chunked", plain]
        case 5:
            return body + following, [plain, f"Content-Length: {len(body) + len(following)}"]
        case 6:
            bad = (
                b"zz\r\n",
                b"-1\r\n",
                b"ffffffffffffffff0\r\n",
                b"1;a=\r\nxx",
                b"\n",
                b"0\n\n",
                b"5 \r\n",
            )
            return one_of(choices, bad) + body, ["Transfer-Encoding: chunked"]
        case 7:
            coding = one_of(choices, ("chunked, chunked", "Chunked", "x", "chunked;q=1"))
            return chunked, [f"Transfer-Encoding: {coding}"]
        case 8:
            return body, []
        case _:
            return body + b"x" * MAX_BODY_BYTES, [f"Content-Length: {len(body) + MAX_BODY_BYTES}"]


def _in_pieces(choices: Choices, whole: bytes) -> list[bytes]:
    cuts = sorted(
        choices.number(min(65_536, len(whole) + 1)) for _ in range(one_of(choices, (0, 0, 0, 1, 2)))
    )
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def told(sent: Sent) -> str:
    """Return a request as one can read it."""
    return "\n".join(repr(piece)[:3000] for piece in sent.pieces)
