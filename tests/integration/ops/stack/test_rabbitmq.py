from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops.stack import PrivateRabbitMQ, StackError
from tests.servers import LoopThread, fetch, keep_queue_names, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

# Erlang: the addresses of all sockets of the node that are not connected to a peer.
LISTENERS = """
[inet:sockname(Port) || Port <- erlang:ports(),
 erlang:port_info(Port, name) =:= {name, "tcp_inet"}, inet:peername(Port) =:= {error, enotconn}].
"""


@pytest.fixture
def restored(rabbitmq_server: PrivateRabbitMQ, server_loop: LoopThread) -> Iterator[None]:
    """Whatever a test does to the session's server, the next one finds it running."""
    yield
    if rabbitmq_server.pid is None:
        server_loop.run(rabbitmq_server.start())


@pytest.mark.usefixtures("restored")
def test_what_is_confirmed_survives_a_kill_and_the_url_stays(
    rabbitmq_server: PrivateRabbitMQ, server_loop: LoopThread, broker_url: str
) -> None:
    url, pid = rabbitmq_server.url, rabbitmq_server.pid
    assert "beam" in Path(f"/proc/{pid}/exe").readlink().name, "the VM itself, not a script"
    server_loop.run(publish(broker_url))
    server_loop.run(keep_queue_names(rabbitmq_server))
    server_loop.run(rabbitmq_server.kill())
    assert rabbitmq_server.pid is None
    server_loop.run(rabbitmq_server.start())
    assert rabbitmq_server.url == url
    assert server_loop.run(fetch(broker_url)) == b"kept"


async def test_every_listener_is_on_the_loopback(rabbitmq_server: PrivateRabbitMQ) -> None:
    listeners = await rabbitmq_server.ctl("eval", LISTENERS)
    # AMQP, distribution and management.
    assert listeners.count("{127,0,0,1}") == 3
    assert listeners.count("{ok,") == 3


async def test_a_failed_rabbitmqctl_says_why(rabbitmq_server: PrivateRabbitMQ) -> None:
    with pytest.raises(StackError, match=r"rabbitmqctl no_such_command failed:\s+Command 'no_such"):
        await rabbitmq_server.ctl("no_such_command")
