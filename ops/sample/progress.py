"""What the platform itself changes on a record when work on it moves on."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ops.sample.formats import date_text, datetime_text, money

if TYPE_CHECKING:
    from ops.sample.capture import Record
    from pipeline.change import Value

# Stage: probability in percent, forecast category and its label.
_STAGES: Final = {
    "Prospecting": (10, "Pipeline", "Pipeline"),
    "Needs Analysis": (20, "Pipeline", "Pipeline"),
    "Negotiation/Review": (90, "Forecast", "Commit"),
    "Closed Won": (100, "Closed", "Closed"),
    "Closed Lost": (0, "Omitted", "Omitted"),
}

_PERSON_FIELDS: Final = (
    *("FirstName", "LastName", "Name", "Title", "Email", "Phone", "LeadSource"),
    *("HasOptedOutOfEmail", "DoNotCall"),
)
_ADDRESS_FIELDS: Final = ("Street", "City", "State", "PostalCode", "Country")


def stage_fields(stage: str, amount: Decimal, at_ms: int) -> dict[str, Value]:
    """Return the fields of an Opportunity that follow from its stage.

    Raises:
        KeyError: not one of the stages that the sample uses.
    """
    probability, category, label = _STAGES[stage]
    return {
        "StageName": stage,
        "Amount": amount,
        "Probability": Decimal(probability),
        "ExpectedRevenue": money(amount * probability / 100),
        "IsClosed": stage.startswith("Closed"),
        "IsWon": stage == "Closed Won",
        "ForecastCategory": category,
        "ForecastCategoryName": label,
        "LastStageChangeDate": datetime_text(at_ms),
    }


def call_made(at_ms: int, duration_s: int) -> dict[str, Value]:
    """Return the fields of a call Task that was completed."""
    return {
        "Status": "Completed",
        "IsClosed": True,
        "CompletedDateTime": datetime_text(at_ms),
        "CallType": "Outbound",
        "CallDurationInSeconds": duration_s,
        "CallDisposition": "Wants a demo",
    }


def carried_over(lead: Record) -> dict[str, Value]:
    """Return the fields that a Contact takes from the Lead that is converted into it."""
    kept = {field: lead.get(field) for field in _PERSON_FIELDS}
    return kept | {f"Mailing{field}": lead.get(field) for field in _ADDRESS_FIELDS}


def converted(
    at_ms: int, account_id: str, contact_id: str, opportunity_id: str
) -> dict[str, Value]:
    """Return the fields of a Lead that was converted into these three records."""
    return {
        "IsConverted": True,
        "ConvertedDate": date_text(at_ms),
        "ConvertedAccountId": account_id,
        "ConvertedContactId": contact_id,
        "ConvertedOpportunityId": opportunity_id,
        "IsUnreadByOwner": False,
    }
