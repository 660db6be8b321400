"""Fixtures of the tests that run the Salesforce package by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plain_ingest import PlainIngest, plain_ingest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ingest() -> Iterator[PlainIngest]:
    """An ingest that says what a test has it ask for."""
    with plain_ingest() as running:
        yield running
