"""Ports on this machine's loopback."""

from __future__ import annotations

import socket
from typing import TypeAlias

Port: TypeAlias = int


def free_port() -> Port:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: Port = probe.getsockname()[1]
        return port


def is_free(host: str, port: Port) -> bool:
    """Tell whether one could listen on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
