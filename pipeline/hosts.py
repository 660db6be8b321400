"""URLs that name several hosts, comma between: `amqp://user:password@a:5672,b:5672/vhost`.

The nodes of a cluster, or a primary and its standbys: what serves now is found by trying in turn.
PostgreSQL's own URLs have this form; RabbitMQ's get it here.

Source: PostgreSQL documentation, "Connection URIs", "Specifying Multiple Hosts".
"""

from __future__ import annotations

from urllib.parse import urlsplit


def urls_of(url: str) -> list[str]:
    """Return a URL for each host that `url` names, in its order."""
    parts = urlsplit(url)
    user, at, addresses = parts.netloc.rpartition("@")
    if "," not in addresses:
        return [url]
    return [
        parts._replace(netloc=f"{user}{at}{address}").geturl() for address in addresses.split(",")
    ]
