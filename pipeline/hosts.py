"""URLs that name several hosts, comma between: `amqp://user:password@a:5672,b:5672/vhost`.

The nodes of a cluster, or a primary and its standbys: what serves now is found by trying in turn.
PostgreSQL's own URLs have this form; RabbitMQ's get it here. Python's library reads them only while
none of the later hosts is an IPv6 address, so they are taken apart here.

Source: PostgreSQL documentation, "Connection URIs", "Specifying Multiple Hosts".
"""

from __future__ import annotations

import re
from typing import Final

# Scheme, perhaps user and password; the hosts; path and query.
_URL: Final = re.compile(r"([A-Za-z]+://(?:[^/?#]*@)?)([^/?#]*)(.*)", re.DOTALL)


def addresses_of(url: str) -> list[str]:
    """Return the hosts that `url` names, each with its port if it has one; one "" for none."""
    match = _URL.fullmatch(url)
    return [""] if match is None else match[2].split(",")


def urls_of(url: str) -> list[str]:
    """Return a URL for each host that `url` names, in its order."""
    match = _URL.fullmatch(url)
    if match is None:
        return [url]
    start, addresses, rest = match.groups()
    return [f"{start}{address}{rest}" for address in addresses.split(",")]
