"""A page of dead letters is cut where its originals would be too many bytes for one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ops.dead_letters.pages import Page

if TYPE_CHECKING:
    from collections.abc import Sequence


def page(sizes: Sequence[int]) -> Page:
    rows: list[Any] = [
        {"dead_letter_id": place, "original": bytes(size)} for place, size in enumerate(sizes, 1)
    ]
    return Page(rows, {"after_id": len(rows)}, is_last=not rows)


@pytest.mark.parametrize(
    ("sizes", "kept"), [((4, 4), 2), ((4, 4, 3), 2), ((9, 1), 1), ((1, 9, 1), 1)]
)
def test_the_next_step_goes_on_behind_what_fits_and_one_always_does(
    sizes: Sequence[int], kept: int
) -> None:
    cut = page(sizes).within(8)
    assert (cut.ids, cut.cursor) == (list(range(1, kept + 1)), {"after_id": kept})


def test_an_empty_page_stays_the_last() -> None:
    assert page([]).within(8).is_last
