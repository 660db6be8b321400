"""Makes records of the seven objects, field by field as the platform types them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.sample.cast import Casting, Company, Person
from ops.sample.formats import DAY_MS, date_text, datetime_text, money
from ops.sample.progress import stage_fields
from ops.sample.seeds import RecordIds
from ops.sample.widths import full_width_fields
from pipeline.objects import SObject

if TYPE_CHECKING:
    import random

    from ops.sample.capture import Record
    from pipeline.change import Value

_API_VERSION: Final = "v65.0"
_LEAD_SOURCES: Final = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_ACCOUNT_TYPES: Final = ("Prospect", "Customer - Direct", "Customer - Channel")


class RecordFactory:
    """Makes records of one org, each with an id of its own; all else follows from the stream.

    What it makes lacks the system fields (CreatedDate and its like): inserting adds them.
    Keyword `fields` override what was drawn; None leaves a field out.
    """

    def __init__(self, org_id: str, stream: random.Random) -> None:
        self.casting = Casting(stream)
        self._stream = stream
        self._ids = RecordIds(org_id, stream)

    def user(self, profile: int, **fields: Value) -> Record:
        """Make an active standard User; `profile` numbers the org's profiles."""
        person = self.casting.person()
        return self._record(
            SObject.USER,
            {
                **_named(person),
                "Username": f"{person.mailbox}@penstock-sample.example",
                "Email": f"{person.mailbox}@penstock-sample.example",
                "Alias": person.mailbox[:8],
                "CommunityNickname": person.mailbox[:40],
                "Title": self.casting.title(),
                "CompanyName": "Penstock Sample Ltd",
                **_address("", person),
                "Phone": person.phone,
                "IsActive": True,
                "UserType": "Standard",
                "ProfileId": self._ids.form("00e", profile),
                "TimeZoneSidKey": person.region.time_zone,
                "LocaleSidKey": person.region.locale,
                "LanguageLocaleKey": person.region.language,
                "EmailEncodingKey": "UTF-8",
                "ReceivesInfoEmails": False,
                "UserPermissionsMarketingUser": False,
                **fields,
            },
        )

    def account(self, owner_id: str, company: Company, **fields: Value) -> Record:
        """Make a business Account of a company."""
        seat = self.casting.person()
        return self._record(
            SObject.ACCOUNT,
            {
                "IsDeleted": False,
                "Name": company.name,
                "Type": self._stream.choice(_ACCOUNT_TYPES),
                **_address("Billing", seat),
                "Phone": seat.phone,
                "Website": f"https://www.{company.domain}",
                "Industry": company.industry,
                "AnnualRevenue": money(self._stream.randrange(200, 90_000) * 1_000),
                "NumberOfEmployees": self._stream.randrange(3, 4_000),
                "Rating": self._stream.choice(("Hot", "Warm", "Cold")),
                "Description": self.casting.description(),
                "OwnerId": owner_id,
                "CleanStatus": "Pending",
                **fields,
            },
        )

    def contact(self, owner_id: str, account_id: str, domain: str, **fields: Value) -> Record:
        """Make a Contact who works at an account and writes from `domain`."""
        person = self.casting.person()
        return self._record(
            SObject.CONTACT,
            {
                "IsDeleted": False,
                "AccountId": account_id,
                **_named(person),
                **_address("Mailing", person),
                "Phone": person.phone,
                "Email": f"{person.mailbox}@{domain}",
                "HasOptedOutOfEmail": False,
                "DoNotCall": False,
                "IsEmailBounced": False,
                "Title": self.casting.title(),
                "Birthdate": date_text(-self._stream.randrange(1, 9_000) * DAY_MS),
                "LeadSource": self._stream.choice(_LEAD_SOURCES),
                "OwnerId": owner_id,
                "CleanStatus": "Pending",
                **fields,
            },
        )

    def lead(
        self, owner_id: str, *, domain: str | None = None, full_width: bool = False, **fields: Value
    ) -> Record:
        """Make an open Lead of some 1.2 kB; with `full_width` of some 3 kB, custom fields included.

        `domain` replaces the one of the company's in the address.
        """
        person = self.casting.person()
        company = self.casting.company()
        return self._record(
            SObject.LEAD,
            {
                "IsDeleted": False,
                **_named(person),
                "Title": self.casting.title(),
                "Company": company.name,
                **_address("", person),
                "Phone": person.phone,
                "Email": f"{person.mailbox}@{domain or company.domain}",
                "Website": f"https://www.{company.domain}",
                "Description": self.casting.description(),
                "LeadSource": self._stream.choice(_LEAD_SOURCES),
                "Status": "Open",
                "Industry": company.industry,
                "Rating": self._stream.choice(("Hot", "Warm", "Cold")),
                "AnnualRevenue": money(self._stream.randrange(50, 4_000) * 1_000),
                "NumberOfEmployees": self._stream.randrange(3, 4_000),
                "OwnerId": owner_id,
                "HasOptedOutOfEmail": False,
                "DoNotCall": False,
                "IsConverted": False,
                "IsUnreadByOwner": True,
                "CleanStatus": "Pending",
                **(full_width_fields(self._stream, self.casting) if full_width else {}),
                **fields,
            },
        )

    def opportunity(
        self, owner_id: str, account_id: str, name: str, at_ms: int, **fields: Value
    ) -> Record:
        """Make an Opportunity in its first stage, to be closed within the quarter."""
        amount = money(self._stream.randrange(20, 900) * 500)
        return self._record(
            SObject.OPPORTUNITY,
            {
                "IsDeleted": False,
                "AccountId": account_id,
                "IsPrivate": False,
                "Name": name,
                "Description": self.casting.description(),
                **stage_fields("Prospecting", amount, at_ms),
                "CloseDate": date_text(at_ms + self._stream.randrange(20, 90) * DAY_MS),
                "Type": "New Customer",
                "LeadSource": self._stream.choice(_LEAD_SOURCES),
                "HasOpportunityLineItem": False,
                "OwnerId": owner_id,
                "HasOpenActivity": False,
                "HasOverdueTask": False,
                **fields,
            },
        )

    def task(self, owner_id: str, who_id: str, subject: str, at_ms: int, **fields: Value) -> Record:
        """Make a call, not yet made, that is due tomorrow; `who_id` is a Lead or a Contact."""
        return self._record(
            SObject.TASK,
            {
                "IsDeleted": False,
                "WhoId": who_id,
                "Subject": subject,
                "ActivityDate": date_text(at_ms + DAY_MS),
                "Status": "Not Started",
                "Priority": "High",
                "IsHighPriority": True,
                "OwnerId": owner_id,
                "Description": self.casting.description(),
                "IsClosed": False,
                "IsArchived": False,
                "IsReminderSet": False,
                "IsRecurrence": False,
                "TaskSubtype": "Call",
                **fields,
            },
        )

    def event(
        self, owner_id: str, who_id: str, what_id: str, start_ms: int, **fields: Value
    ) -> Record:
        """Make a meeting of an hour; `what_id` is an Account or an Opportunity."""
        return self._record(
            SObject.EVENT,
            {
                "IsDeleted": False,
                "WhoId": who_id,
                "WhatId": what_id,
                "Subject": "Meeting",
                "Location": "Video call 🎥",
                "IsAllDayEvent": False,
                "ActivityDateTime": datetime_text(start_ms),
                "ActivityDate": date_text(start_ms),
                "DurationInMinutes": 60,
                "StartDateTime": datetime_text(start_ms),
                "EndDateTime": datetime_text(start_ms + 3_600_000),
                "OwnerId": owner_id,
                "IsPrivate": False,
                "ShowAs": "Busy",
                "IsChild": False,
                "IsGroupEvent": False,
                "GroupEventType": "0",
                "IsArchived": False,
                "IsReminderSet": False,
                "IsRecurrence": False,
                "EventSubtype": "Event",
                **fields,
            },
        )

    def _record(self, sobject: SObject, fields: dict[str, Value]) -> Record:
        record_id = self._ids.draw(sobject)
        url = f"/services/data/{_API_VERSION}/sobjects/{sobject}/{record_id}"
        record: Record = {"attributes": {"type": sobject.value, "url": url}, "Id": record_id}
        record.update((field, value) for field, value in fields.items() if value is not None)
        return record


def _named(person: Person) -> dict[str, Value]:
    return {"LastName": person.last, "FirstName": person.first, "Name": person.name}


def _address(prefix: str, person: Person) -> dict[str, Value]:
    region = person.region
    return {
        f"{prefix}Street": region.street,
        f"{prefix}City": region.city,
        f"{prefix}State": region.state,
        f"{prefix}PostalCode": region.postal_code,
        f"{prefix}Country": region.country,
    }
