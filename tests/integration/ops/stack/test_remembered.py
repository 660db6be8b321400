from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ops.stack.remembered import remember

if TYPE_CHECKING:
    from pathlib import Path


def test_ports_and_secrets_stay_the_same(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    first = remember(path, ["amqp", "epmd"], ["password"])
    assert remember(path, ["amqp", "epmd"], ["password"]) == first
    assert len(set(first.ports.values())) == 2
    assert all(20_000 <= port < 32_768 for port in first.ports.values())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_port_that_another_took_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    first = remember(path, ["amqp"], ["password"])
    with socket.create_server(("127.0.0.1", first.ports["amqp"])):
        second = remember(path, ["amqp"], ["password"])
    assert second.ports != first.ports
    assert second.secrets == first.secrets


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    remembered = remember(tmp_path / "server.json", ["amqp"], ["password"])
    assert remembered.secrets["password"] not in repr(remembered)
