"""Where the relay may connect to: no private, loopback, link-local or reserved address.

Rules name URLs, and names resolve to whatever their owners say, another thing each time. So it is
the address of each connection itself that is looked at, the moment before it is made.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.connector import AddrInfoType

    from pipeline.client_address import Networks

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: Final[Networks] = (
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)
# Special by IANA's registries, and global to the `ipaddress` of Python 3.11: protocol assignments,
# the 6to4 relays of old, documentation. Source: RFC 6890, RFC 7526, RFC 9637.
_SPECIAL: Final[Networks] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
)
# An IPv4 address as networks that have only IPv6 translate it. Source: RFC 6052, section 2.1.
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The relay connects to no such address. The text is the same for all of them."""

    def __init__(self) -> None:
        super().__init__("its address is private or reserved")


class Guard:
    """Lets connections to public addresses and to the `allowed` networks be made."""

    def __init__(self, allowed: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._allowed = tuple(allowed)

    def admits(self, text: str) -> bool:
        """Tell whether the relay may connect to an address, written as sockets have it."""
        address = _meant(ipaddress.ip_address(text.partition("%")[0]))
        if any(address in network for network in self._allowed):
            return True
        is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
        if any(address in network for network in _SPECIAL):
            return False
        is_special = address.is_multicast or address.is_reserved or is_site_local
        return address.is_global and not is_special

    def session(self) -> aiohttp.ClientSession:
        """Return a session whose every connection is looked at. It keeps no cookie.

        Each request has a connection of its own. On one that is kept, what comes late or twice is
        the answer to the next request, which would count as done; and a request that meets the
        target's closing of it may have been acted on, or not.
        """
        connector = aiohttp.TCPConnector(socket_factory=self._socket, limit=0, force_close=True)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    def _socket(self, told: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = told
        if not self.admits(str(address[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def literally_named(url: str) -> Networks:
    """Return the addresses that a URL names without asking anyone: those of an IP or `localhost`.

    An operator who writes such a URL means what it says.
    """
    host = URL(url).host or ""
    if host == "localhost":
        return _LOOPBACK
    try:
        return (ipaddress.ip_network(_meant(ipaddress.ip_address(host))),)
    except ValueError:
        return ()


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if it stands for one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
