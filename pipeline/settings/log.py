"""The settings of logs."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least severity written")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto: colour on a terminal")
    ] = "auto"
