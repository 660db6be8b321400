from __future__ import annotations

import asyncpg
import pytest

from pipeline.json_text import decode_fields, encode_masked, mask, unmask

# Every kind of character that JSONB or a text column refuses, and what only looks like it.
TEXTS = [
    r"\u0000",
    r"\ud83d",
    r"\ude00",
    r"\ude00\ud83d",
    r"\ud83d\ud83d\ude00",
    r"\ud83d\ude00",
    r"\u001a",
    r"\u001A001a",
    r"\u001a0000",
    r"\\u0000",
    r"\\\u0000",
    r"\"\u0000\"[{",
    r"\u000\u0000".replace(r"\u000\u", r"\u0001\u"),
    "é😀\u2028",
]
RECORD = "{" + ",".join(f'"f{n}": "{text}"' for n, text in enumerate(TEXTS)) + "}"
NUMBERS = '{"n":[12345678901234567890.12345678901234567890,1e2,-0.0,' + "9" * 5000 + ",1E-400]}"


@pytest.mark.parametrize("record", [RECORD, NUMBERS, '{"\\u0000key":{"\\ud800":[null,true]}}'])
async def test_jsonb_takes_masked_text_and_gives_back_what_it_says(
    database_url: str, record: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        original = decode_fields(mask(record.encode()))
        for stored in (mask(record.encode()).decode(), encode_masked(original)):
            returned = await connection.fetchval("SELECT $1::text::jsonb::text", stored)
            assert decode_fields(returned.encode()) == original
        text = await connection.fetchval("SELECT $1::text", record)
        assert text == unmask(mask(record.encode())).decode()
    finally:
        await connection.close()
