"""The local target takes what is signed for it, and nothing else."""

from __future__ import annotations

import time

import aiohttp

from ops.local.target import SampleTarget
from ops.stack.ports import free_port
from pipeline.signing import new_secret, signed_headers


async def test_a_target_keeps_what_is_signed_once_a_key() -> None:
    async with SampleTarget(free_port()) as target, aiohttp.ClientSession() as session:

        async def post(secret: str, key: str) -> int:
            headers = signed_headers(secret, key, int(time.time()), b"{}")
            headers["Idempotency-Key"] = key
            async with session.post(target.url, data=b"{}", headers=headers) as response:
                return response.status

        assert await post(new_secret(), "enr_1") == 401
        assert await post(target.secret, "enr_1") == 204
        assert await post(target.secret, "enr_1") == 204
        assert list(target.delivered) == ["enr_1"]
