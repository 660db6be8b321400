"""Requests as a handler gets them, without a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest.mock import Mock

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

# Far above what a test sends, so that the stream never asks the socket, which is none, to wait.
_STREAM_LIMIT_BYTES = 2**24


def stream() -> StreamReader:
    """Return a body that nothing has arrived of yet."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.transport = Mock(asyncio.Transport)
    return StreamReader(protocol, _STREAM_LIMIT_BYTES, loop=loop)


def post(body: bytes, headers: Mapping[str, str], org_id: str) -> web.Request:
    """Return a POST to an org's address whose body has arrived."""
    content = stream()
    content.feed_data(body)
    content.feed_eof()
    return make_mocked_request(
        "POST", "/", headers=dict(headers), match_info={"org_id": org_id}, payload=content
    )
