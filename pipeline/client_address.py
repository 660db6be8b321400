"""Which address a request came from, past the proxies that are trusted to say so.

Each proxy appends to `X-Forwarded-For` whom it heard from. So the header is read from the right,
as long as the one who wrote an entry is trusted: what a stranger put there is never reached.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Networks: TypeAlias = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

# As some proxies write it: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+))(?::[0-9]+)?")
# Whoever has one IPv6 address has all of its network's.
_IPV6_PREFIX_LENGTH: Final = 64


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Networks) -> str:
    """Return the address by which a client is counted: an IPv4 address, or an IPv6 network.

    `forwarded` are the request's `X-Forwarded-For` headers. The peer itself is returned where it is
    not trusted; where an entry is no address, the trusted proxy that wrote it is.
    """
    address = _read(peer or "")
    if address is None:
        return peer or ""
    if trusted:
        for entry in reversed(",".join(forwarded).split(",")):
            if not any(address in network for network in trusted):
                break
            before = _read(entry)
            if before is None:
                break
            address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX_LENGTH), strict=False))
    return str(address)


def _read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
