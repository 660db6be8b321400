"""The fields that bring a Lead to the width of one in an org that has been lived in."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ops.sample.formats import DAY_MS, date_text, datetime_text, money

if TYPE_CHECKING:
    import random

    from ops.sample.cast import Casting
    from pipeline.change import Value

# Leads are first touched within 60 days of 2026-01-05T08:00:00Z, before any load begins.
_FIRST_TOUCH_MS: Final = 1_767_600_000_000
_PRODUCTS: Final = ("Gate Valves", "Sluices", "Turbines", "Trash Racks", "Surge Tanks")
# With the other fields this makes some 3 kB of JSON.
_DESCRIPTION_BYTES: Final = 640
_NOTES_BYTES: Final = 420


def full_width_fields(stream: random.Random, casting: Casting) -> dict[str, Value]:
    """Return long texts, geolocation and custom fields of every type for a Lead."""
    touched_ms = _FIRST_TOUCH_MS + stream.randrange(60) * DAY_MS + stream.randrange(DAY_MS)
    campaign = f"FLOW-{stream.randrange(1_000):03}"
    return {
        "Salutation": stream.choice(("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")),
        "MobilePhone": f"+1 555 01{stream.randrange(100):02}",
        "Fax": f"+1 555 01{stream.randrange(100):02}",
        "Description": casting.description(_DESCRIPTION_BYTES),
        "Latitude": Decimal(stream.randrange(-60_000_000, 70_000_000)).scaleb(-6),
        "Longitude": Decimal(stream.randrange(-180_000_000, 180_000_000)).scaleb(-6),
        "GeocodeAccuracy": "NearAddress",
        "LastActivityDate": date_text(touched_ms + DAY_MS),
        "LastViewedDate": datetime_text(touched_ms + DAY_MS),
        "LastReferencedDate": datetime_text(touched_ms + DAY_MS),
        "HasOptedOutOfFax": False,
        "Campaign_Code__c": campaign,
        "Consent_Date__c": date_text(touched_ms),
        "Consent_Given__c": True,
        "Discount_Percent__c": Decimal(stream.randrange(300)).scaleb(-1),
        "First_Touch__c": datetime_text(touched_ms),
        "First_Touch_Url__c": (
            f"https://www.example.com/valves?utm_campaign={campaign}&utm_source=fair&utm_medium=qr"
        ),
        "Lead_Score__c": Decimal(stream.randrange(10_000)).scaleb(-2),
        "Number_of_Sites__c": stream.randrange(1, 40),
        "Product_Interests__c": ";".join(stream.sample(_PRODUCTS, 3)),
        "Qualification_Notes__c": f"<p>{casting.description(_NOTES_BYTES)}</p>",
        "Quoted_Amount__c": money(stream.randrange(1_000, 5_000_000)),
        "Requires_On_Site_Visit__c": stream.choice((True, False)),
    }
