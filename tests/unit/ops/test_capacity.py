from __future__ import annotations

from pathlib import Path

import pytest

from ops.capacity import SIZES, Costs, Load, needs, table

PAGE = Path(__file__).parents[3] / "deploy" / "capacity.md"


def test_the_page_has_the_table_that_the_figures_come_to() -> None:
    expected = table([Load(orgs) for orgs in SIZES], Costs())
    assert expected in PAGE.read_text("utf-8"), "python -m ops.capacity"


def test_what_is_needed_follows_from_what_is_given() -> None:
    load = Load(
        orgs=1_000,
        changes_per_org_day=8_640,
        peak_factor=10,
        records_per_org=1_000,
        rules_per_org=5,
        enrollments_per_change=0.1,
        retention_days=10,
    )
    costs = Costs(
        ingest_us=1_000,
        worker_us=2_001,
        history_bytes=1_000,
        wal_bytes=2_000,
        worker_mb=100,
        worker_org_bytes=20_000,
        rule_bytes=10_000,
    )
    found = {need.what: need.amount for need in needs(load, costs)}
    assert found["changes a day"] == 8_640_000
    assert found["changes/s, at the peak"] == pytest.approx(1_000)
    # At half of a core each: 1 core of ingest, 2.001 of workers.
    assert found["ingests"] == 2
    assert found["workers"] == 5
    assert found["relays"] == 2
    assert found["told to targets/s, at the peak"] == pytest.approx(100)
    # A pool each, and one more for each that listens: ingests and relays.
    assert found["connections to PostgreSQL"] == 4 * (2 + 5 + 2) + 2 + 2
    assert found["WAL, MB/s at the peak"] == pytest.approx(2)
    assert found["history, GB"] == pytest.approx(86.4)
    assert found["memory of a worker, MB"] == 170


def test_of_each_process_there_are_two_for_whoever_is_small() -> None:
    found = {need.what: need.amount for need in needs(Load(orgs=1), Costs())}
    assert found["ingests"] == found["workers"] == found["relays"] == 2
