"""Strings that break programs pass through real processes however their JSON is written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.json_text import unmask
from tests.lives import (
    Life,
    assert_history_holds,
    assert_records_hold,
    assert_shown,
    captures,
    connected,
    send,
)
from tests.published import make_id, naughty_strings
from tests.published_files import DATA
from tests.salesforce import ORG_ID

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published strings are not beside this project (../shared/data)"
)

# What no list of texts can hold: NUL, halves of pairs, noncharacters, and what Penstock itself
# writes in the place of a character that JSONB refuses.
UNWRITABLE: Final = (
    "\x00",
    "a\x00b\x00",
    "\x000000",
    "cut off \ud83d",
    "\ude00 first",
    "\ude00\ud83d",
    "\ud83d\ud83d\U0001f600\ude00",
    "\x1a",
    "\x1a\x1a001a",
    "\x1a0000 \x1aD83D",
    "\\u0000 \\ud83d \\u001a0000",
    "\\\x00\\\\\x1a",
    "\u2028\u2029\x85\x7f",
    "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff",
    "\ufeffin \ufeff text\ufeff",
)
NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)

RULE: Final = """\
rule: keep-what-the-string-was
object: Lead
on: [insert]
when:
  - {field: Email, is_set: true}
  - {field: Description, not_equals: "no such string"}
then:
  - add_to_sequence: strings
    recipient: Email
    variables: {string: Description}
"""


def as_utf8(string: str) -> str:
    """Escape only what JSON, or UTF-8, cannot hold as it is."""
    text = json.dumps(string, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def as_ascii(string: str) -> str:
    """Escape whatever is not ASCII."""
    return json.dumps(string)


def as_escapes(string: str) -> str:
    """Escape every character, in capitals."""
    units = string.encode("utf-16-be", "surrogatepass").hex().upper()
    return '"' + "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)) + '"'


def string_lives() -> list[Life]:
    """A Lead for each string in each writing, which takes the place of the string before."""
    strings = [*naughty_strings(), *UNWRITABLE, "".join(reversed(UNWRITABLE))]
    lives = []
    for write in (as_utf8, as_ascii, as_escapes):
        for place, string in enumerate(strings):
            record_id = make_id("Lead", write.__name__, str(place))
            head = f'{{"Id": "{record_id}", "Email": "{record_id}@example.com"'
            states = [
                f'{head}, "Description": {text}, "LastName":{text} , "Company":\n{text}}}'
                for text in (write(strings[place - 1]), write(string))
            ]
            lives.append(Life("Lead", record_id, tuple(states)))
    return lives


async def test_every_naughty_string_comes_back_to_the_character(
    penstock: PenstockProcesses,
) -> None:
    lives = string_lives()
    assert len(lives) == 3 * (515 + len(UNWRITABLE) + 1)
    org = await connected(penstock, RULE)
    sent = list(captures(lives))
    await send(org, sent)

    await assert_history_holds(penstock, sent)
    await assert_records_hold(penstock, lives)
    kept = {
        row["recipient"]: json.loads(unmask(row["variables"].encode()))["string"]
        for row in await penstock.fetch("SELECT recipient, variables::text FROM enrollment")
    }
    inserted = (json.loads(life.states[0]) for life in lives)
    assert kept == {lead["Email"].lower(): lead["Description"] for lead in inserted}
    count = len(lives) // 3
    worst = [lives[count - 1], lives[2 * count - 1], lives[-1]]
    for life in worst:
        await assert_shown(penstock, ORG_ID, life)
    shown = (await penstock.run("record", "show", ORG_ID, "Lead", worst[0].id)).stdout.decode()
    assert r"Description: \ufeffin \ufeff text\ufeff\ufdd0\ufffe" in shown
    assert r"cut off \ud83d" in shown
    assert r"\x1a0000 \x1aD83D" in shown
    assert all(character == "\n" or character.isprintable() for character in shown)


async def test_every_naughty_number_keeps_its_digits(penstock: PenstockProcesses) -> None:
    numbers = [string for string in naughty_strings() if NUMBER.fullmatch(string)]
    assert len(numbers) > 15
    lives = []
    for place, digits in enumerate(numbers):
        record_id = make_id("Lead", "number", str(place))
        states = (
            f'{{"Id":"{record_id}","AnnualRevenue":{digits}}}',
            f'{{"Id":"{record_id}","AnnualRevenue":{numbers[place - 1]}}}',
        )
        lives.append(Life("Lead", record_id, states))
    rule = RULE.replace("Email, is_set: true", "AnnualRevenue, at_least: 0")
    org = await connected(penstock, rule)
    sent = list(captures(lives))
    await send(org, sent)

    await assert_history_holds(penstock, sent)
    await assert_records_hold(penstock, lives)
    await assert_shown(penstock, ORG_ID, lives[0])
