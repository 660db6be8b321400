"""Field values in the form that Apex `JSON.serialize` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

DAY_MS: Final = 86_400_000
_CENT: Final = Decimal("0.01")


def datetime_text(at_ms: int) -> str:
    """Return a datetime field's text; Salesforce stores whole seconds, so the ms are dropped."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def date_text(at_ms: int) -> str:
    """Return a date field's text: the day in UTC."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d}"


def money(amount: int | Decimal) -> Decimal:
    """Return a currency field's value, with two decimal places."""
    return Decimal(amount).quantize(_CENT)
