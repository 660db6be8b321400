from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from pipeline.database import DatabaseWatch

if TYPE_CHECKING:
    import pytest

    from pipeline.database import Pool


def test_a_database_that_lets_nobody_finish_is_none_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    watch = DatabaseWatch(cast("Pool", None))
    assert watch.problem() == "the database was not asked yet"
    monkeypatch.setattr(time, "monotonic", lambda: 1008.0)
    assert watch.problem() == "no answer for 8 s"
