"""Casting never gives two people one address, and only ASCII goes into one."""

from __future__ import annotations

import re

from ops.sample.cast import Casting
from ops.sample.seeds import random_stream


def test_nobody_shares_a_mailbox_however_many_are_cast() -> None:
    casting = Casting(random_stream(1))
    mailboxes = [casting.person().mailbox for _ in range(2_000)]
    assert len(set(mailboxes)) == 2_000
    assert all(re.fullmatch(r"[a-z-]+\.[a-z-]+\d*", mailbox) for mailbox in mailboxes)


def test_neighbours_come_from_different_regions() -> None:
    casting = Casting(random_stream(1))
    assert len({casting.person().region.country for _ in range(12)}) == 12


def test_a_description_fills_the_size_asked_for_on_several_lines() -> None:
    text = Casting(random_stream(1)).description(900)
    assert 900 <= len(text.encode()) + 4 * (text.count("\r\n") + 1) < 1_200
    assert text.count("\r\n") >= 2
