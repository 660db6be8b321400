"""The standard objects that the package and its tests touch, as a table of field declarations.

Source: Object Reference for the Salesforce Platform (sforce_api_objects_account, …_contact,
…_event, …_lead, …_opportunity, …_task, …_user). Compound addresses and fields that only a feature
switches on are left out, person accounts and recurrence excepted.
"""

from __future__ import annotations

from typing import Final

from tests.apex_runtime.org.schema import Kind, ObjectType, declare_all

_AUDIT: Final = """
Id Id read_only
CreatedDate DateTime read_only
CreatedById Lookup(User) read_only
LastModifiedDate DateTime read_only
LastModifiedById Lookup(User) read_only
SystemModstamp DateTime read_only
"""
_DELETED: Final = "\nIsDeleted Checkbox read_only\n"
_OWNER: Final = "\nOwnerId Lookup(User)\n"
_PERSON: Final = """
Salutation Picklist(40)
FirstName Text(40)
LastName Text(80) required
Name Text(121) read_only
"""
_ACTIVITY: Final = """
WhoId Lookup(Contact,Lead) cascade
WhatId Lookup(Account,Opportunity) cascade
Subject Text(255)
ActivityDate Date
Description LongTextArea(32000)
Type Picklist(40)
AccountId Lookup(Account) read_only
IsArchived Checkbox read_only
IsReminderSet Checkbox
ReminderDateTime DateTime
IsRecurrence Checkbox
RecurrenceActivityId Text(18)
RecurrenceEndDateOnly Date
RecurrenceTimeZoneSidKey Picklist(40)
RecurrenceType Picklist(40)
RecurrenceInterval Integer
RecurrenceDayOfWeekMask Integer
RecurrenceDayOfMonth Integer
RecurrenceInstance Picklist(40)
RecurrenceMonthOfYear Picklist(40)
"""


def _address(prefix: str) -> str:
    """Return the parts of an address."""
    return f"""
{prefix}Street TextArea(255)
{prefix}City Text(40)
{prefix}State Text(80)
{prefix}PostalCode Text(20)
{prefix}Country Text(80)
"""


_RECORDS: Final = {
    "Account": (
        "001",
        """
Name Text(255)
Type Picklist(40)
ParentId Lookup(Account)
Phone Phone(40)
Fax Phone(40)
AccountNumber Text(40)
Website Url(255)
Sic Text(20)
Industry Picklist(40)
AnnualRevenue Currency(18,0)
NumberOfEmployees Integer(8,0)
Ownership Picklist(40)
TickerSymbol Text(20)
Description LongTextArea(32000)
Rating Picklist(40)
Site Text(80)
AccountSource Picklist(40)
MasterRecordId Lookup(Account) read_only
LastActivityDate Date read_only
IsPersonAccount Checkbox read_only
PersonContactId Lookup(Contact) read_only
Salutation Picklist(40)
FirstName Text(40)
LastName Text(80)
PersonEmail Email(80)
PersonTitle Text(80)
PersonDepartment Text(80)
PersonMobilePhone Phone(40)
PersonHomePhone Phone(40)
PersonBirthdate Date
PersonLeadSource Picklist(40)
PersonDoNotCall Checkbox
PersonHasOptedOutOfEmail Checkbox
"""
        + _address("Billing")
        + _address("Shipping")
        + _address("PersonMailing"),
    ),
    "Contact": (
        "003",
        _PERSON
        + """
AccountId Lookup(Account) cascade
Phone Phone(40)
Fax Phone(40)
MobilePhone Phone(40)
HomePhone Phone(40)
OtherPhone Phone(40)
AssistantPhone Phone(40)
AssistantName Text(40)
ReportsToId Lookup(Contact)
Email Email(80)
Title Text(128)
Department Text(80)
LeadSource Picklist(40)
Birthdate Date
Description LongTextArea(32000)
HasOptedOutOfEmail Checkbox
DoNotCall Checkbox
EmailBouncedReason Text(255)
EmailBouncedDate DateTime
MasterRecordId Lookup(Contact) read_only
LastActivityDate Date read_only
IsPersonAccount Checkbox read_only
"""
        + _address("Mailing")
        + _address("Other"),
    ),
    "Lead": (
        "00Q",
        _PERSON
        + """
Company Text(255) required
Title Text(128)
Phone Phone(40)
MobilePhone Phone(40)
Fax Phone(40)
Email Email(80)
Website Url(255)
Description LongTextArea(32000)
LeadSource Picklist(40)
Status Picklist(40) required;default=Open - Not Contacted
Industry Picklist(40)
Rating Picklist(40)
AnnualRevenue Currency(18,0)
NumberOfEmployees Integer(8,0)
HasOptedOutOfEmail Checkbox
DoNotCall Checkbox
IsUnreadByOwner Checkbox default=true
EmailBouncedReason Text(255)
EmailBouncedDate DateTime
IsConverted Checkbox read_only
ConvertedDate Date read_only
ConvertedAccountId Lookup(Account) read_only
ConvertedContactId Lookup(Contact) read_only
ConvertedOpportunityId Lookup(Opportunity) read_only
MasterRecordId Lookup(Lead) read_only
LastActivityDate Date read_only
"""
        + _address(""),
    ),
    "Opportunity": (
        "006",
        """
Name Text(120) required
AccountId Lookup(Account) cascade
ContactId Lookup(Contact)
Description LongTextArea(32000)
StageName Picklist(40) required
Amount Currency(18,2)
Probability Percent(3,0)
TotalOpportunityQuantity Number(18,2)
CloseDate Date required
Type Picklist(40)
NextStep Text(255)
LeadSource Picklist(40)
ForecastCategoryName Picklist(40)
IsClosed Checkbox read_only
IsWon Checkbox read_only
LastActivityDate Date read_only
""",
    ),
    "Task": (
        "00T",
        _ACTIVITY
        + """
Status Picklist(40) required;default=Not Started
Priority Picklist(20) required;default=Normal
TaskSubtype Picklist(40)
IsClosed Checkbox read_only
CompletedDateTime DateTime read_only
CallDurationInSeconds Integer
CallType Picklist(40)
CallDisposition Text(255)
RecurrenceStartDateOnly Date
""",
    ),
    "Event": (
        "00U",
        _ACTIVITY
        + """
Location Text(255)
IsAllDayEvent Checkbox
ActivityDateTime DateTime
DurationInMinutes Integer
StartDateTime DateTime
EndDateTime DateTime
IsPrivate Checkbox
ShowAs Picklist(40)
IsChild Checkbox read_only
IsGroupEvent Checkbox read_only
RecurrenceStartDateTime DateTime
""",
    ),
}

_SETUP: Final = {
    "User": (
        "005",
        """
Username Text(80) required;unique
FirstName Text(40)
LastName Text(80) required
Name Text(121) read_only
CompanyName Text(80)
Division Text(80)
Department Text(80)
Title Text(80)
Email Email(128) required
Alias Text(8) required
CommunityNickname Text(40)
IsActive Checkbox default=true
TimeZoneSidKey Picklist(40) required
LocaleSidKey Picklist(40) required
EmailEncodingKey Picklist(40) required
LanguageLocaleKey Picklist(40) required
UserRoleId Lookup(UserRole)
ProfileId Lookup(Profile) required
UserType Picklist(40) read_only
EmployeeNumber Text(20)
ManagerId Lookup(User)
Phone Phone(40)
MobilePhone Phone(40)
Fax Phone(40)
Extension Phone(40)
FederationIdentifier Text(512)
ForecastEnabled Checkbox
IsPortalEnabled Checkbox
ContactId Lookup(Contact)
LastLoginDate DateTime read_only
"""
        + _address(""),
    ),
    "Profile": ("00e", "Name Text(255) required\nDescription Text(255)"),
    "UserRole": ("00E", "Name Text(80) required\nDeveloperName Text(80)"),
    "Organization": (
        "00D",
        """
Name Text(80)
InstanceName Text(5) read_only
IsSandbox Checkbox read_only
OrganizationType Picklist(40) read_only
NamespacePrefix Text(15) read_only
TrialExpirationDate DateTime read_only
""",
    ),
    "ApexClass": ("01p", "Name Text(255)\nNamespacePrefix Text(15)"),
    "AsyncApexJob": (
        "707",
        """
ApexClassId Lookup(ApexClass) read_only
JobType Picklist(40) read_only
Status Picklist(40) read_only
NumberOfErrors Integer read_only
ExtendedStatus Text(1333) read_only
CompletedDate DateTime read_only
MethodName Text(255) read_only
""",
    ),
    "CronJobDetail": ("08a", "Name Text(255) read_only\nJobType Picklist(40) read_only"),
    "CronTrigger": (
        "08e",
        """
CronJobDetailId Lookup(CronJobDetail) read_only
CronExpression Text(255) read_only
State Picklist(40) read_only
TimesTriggered Integer read_only
PreviousFireTime DateTime read_only
""",
    ),
}


def standard_objects() -> dict[str, ObjectType]:
    """Return the standard types by API name, new objects at each call."""
    types = {}
    for name, (prefix, fields) in _RECORDS.items():
        types[name] = _object(name, prefix, Kind.RECORD, _AUDIT + _DELETED + _OWNER + fields)
    for name, (prefix, fields) in _SETUP.items():
        types[name] = _object(name, prefix, Kind.SETUP, _AUDIT + fields)
    return types


def _object(name: str, prefix: str, kind: Kind, text: str) -> ObjectType:
    """Build a type from its table; blank lines between blocks mean nothing."""
    lines = "\n".join(line for line in text.splitlines() if line.strip())
    return ObjectType(name, prefix, kind, declare_all(lines))
