"""`penstock probe`: how the process beside it is, for whatever starts and restarts processes."""

from __future__ import annotations

import http.client
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import click
import msgspec

from ops.errors import OpsError
from pipeline.settings import Ingest

if TYPE_CHECKING:
    from collections.abc import Sequence

# By IPv4 or IPv6, as it listens.
_HOST: Final = "localhost"
# Less than what containers' own checks wait, so that it is this that says what is wrong.
_TIMEOUT_S: Final = 4.0


class _Readiness(msgspec.Struct, frozen=True):
    """What `/readyz` answers."""

    checks: dict[str, str]


@click.command()
@click.argument("ports", metavar="[PORT]…", nargs=-1, type=click.IntRange(1, 65_535))
@click.option("--ready", is_flag=True, help="Ask whether it can do its work, not only if it lives.")
def probe(ports: Sequence[int], *, ready: bool) -> None:
    """Ask a process of this machine, on its admin port, whether it lives. PORT: default 9080.

    Exit code 1 if not. With several ports, all of them have to.
    """
    for port in ports or (Ingest().admin_port,):
        status, body = _get(port, "/readyz" if ready else "/healthz")
        if status != HTTPStatus.OK:
            raise OpsError(f"port {port}: {_problems(status, body)}")
    click.echo("ready" if ready else "alive")


def _get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(_HOST, port, timeout=_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError as error:
            raise OpsError(f"port {port}: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise OpsError(f"port {port}: no answer of ours ({type(error).__name__})") from error


def _problems(status: int, body: bytes) -> str:
    try:
        checks = msgspec.json.decode(body, type=_Readiness).checks
    except msgspec.DecodeError:
        return f"answered {status}"
    return "; ".join(f"{name}: {why}" for name, why in checks.items() if why != "ok")
