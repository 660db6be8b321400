"""The settings of the consumers."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.settings.kinds import Port, Positive, Seconds, SettingsError, named

# Of messages of up to 256 KiB (`pipeline.topology.MAX_MESSAGE_BYTES`), 32 MiB.
MAX_PREFETCH_COUNT: Final = 128
_MAX_PORT: Final = 65_535


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The consumers."""

    admin_host: Annotated[str, Meta(description="address of health and metrics")] = "127.0.0.1"
    admin_port: Annotated[
        Port,
        Meta(description="port of health and metrics; 0 takes any; further processes the next"),
    ] = 0
    process_count: Annotated[
        int, Meta(ge=1, le=64, description="processes that one `penstock worker` runs")
    ] = 1
    prefetch_count: Annotated[
        Positive,
        Meta(description="messages a process holds unsettled, shared by its queues; at most 128"),
    ] = 128
    batch_count: Annotated[Positive, Meta(description="most changes in one transaction")] = 1000
    hold_s: Annotated[
        Seconds, Meta(description="longest hold of deliveries while the database is away")
    ] = 300.0
    drain_s: Annotated[
        Seconds, Meta(description="longest wait for the batch under way at shutdown")
    ] = 20.0
    parent_wait_s: Annotated[
        Seconds, Meta(description="longest wait of a rule for a looked-up record to be synced")
    ] = 600.0
    gap_confirm_s: Annotated[
        Seconds,
        Meta(description="time in which a gap in a record's changes may still be filled"),
    ] = 86_400.0
    sweep_s: Annotated[
        Seconds,
        Meta(description="pause between sweeps over what waits or has to be evaluated again"),
    ] = 1.0


def check_worker(worker: Worker) -> None:
    """Refuse to hold more than a worker has memory for, and ports past the last."""
    if worker.prefetch_count > MAX_PREFETCH_COUNT:
        raise SettingsError(
            f"{named('worker', 'prefetch_count')}: {worker.prefetch_count} messages of up to"
            f" 256 KiB are more than the 32 MiB that a worker may hold; at most"
            f" {MAX_PREFETCH_COUNT}"
        )
    last = worker.admin_port + worker.process_count - 1
    if worker.admin_port and last > _MAX_PORT:
        raise SettingsError(
            f"{named('worker', 'admin_port')}: each of {worker.process_count} processes takes"
            f" the next port, and the last would be {last}"
        )
