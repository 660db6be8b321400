"""What `penstock up` gives its children: this machine's, where nothing else is asked for."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ops.local.processes import WEBHOOK_SECRET, WEBHOOK_URL, local_environment
from ops.local.target import SampleTarget
from ops.stack.ports import free_port, is_free
from pipeline.settings import FILE, Settings, load

if TYPE_CHECKING:
    from pathlib import Path


def test_a_default_port_that_is_taken_gives_way_and_one_that_was_asked_for_does_not() -> None:
    said: list[str] = []
    target = SampleTarget(free_port())
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_free(8080):
            holder.bind(("127.0.0.1", 8080))
            holder.listen()
        settings = load(local_environment({}, Settings(), target, said.append))
        assert settings.ingest.port != 8080
        assert is_free(settings.ingest.port)
        assert any(line.startswith("Port 8080 is taken: using ") for line in said)

        wish = {"PENSTOCK_INGEST__PORT": "8080"}
        asked = load(local_environment(wish, load(wish), target, said.append))
        assert asked.ingest.port == 8080


def test_a_target_of_ones_own_is_kept() -> None:
    target = SampleTarget(free_port())
    chosen = local_environment({}, Settings(), target, print)
    assert (chosen[WEBHOOK_URL], chosen[WEBHOOK_SECRET]) == (target.url, target.secret)

    own = {WEBHOOK_URL: "https://target.example/", WEBHOOK_SECRET: "whsec_AAAA"}
    assert own.items() <= local_environment(own, load(own), target, print).items()


def test_the_sample_target_has_its_own_secret_where_a_file_holds_another(tmp_path: Path) -> None:
    target = SampleTarget(free_port())
    file = tmp_path / "secret"
    file.write_text("whsec_AAAA")
    own = {WEBHOOK_SECRET + FILE: str(file)}
    relay = load(local_environment(own, load(own), target, print)).relay
    assert (relay.webhook_url, relay.webhook_secret.value) == (target.url, target.secret)
