"""The files of records that others published, and what each of them holds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parents[2] / "shared" / "data"

# Files that hold no records, and what they are read for. The first that knows a field decides.
SCHEMAS: Final = {
    "SFDO-CumulusCI/describe_Account.json": "a DESCRIBE",
    "SFDO-CumulusCI/describe_Account_PersonAccount.json": "a DESCRIBE",
    "SFDO-CumulusCI/describe_Contact.json": "a DESCRIBE",
    "SFDO-CumulusCI/describe_Event.json": "a DESCRIBE",
    "SFDO-CumulusCI/describe_Lead.json": "a DESCRIBE",
    "SFDO-CumulusCI/describe_Opportunity.json": "a DESCRIBE",
    "mike4aday-SwiftlySalesforce/describe_Account.json": "a DESCRIBE",
    "mike4aday-SwiftlySalesforce/describe_Contact.json": "a DESCRIBE",
    "mike4aday-SwiftlySalesforce/describe_Task.json": "a DESCRIBE",
    "developerforce-enterprise-wsdl-v27/enterprise-wsdl-v27.types.json": "types from the WSDL",
    "jsforce/standard-schema.fields.json": "types as TypeScript, which tells no date from a time",
}

STRINGS_FILE: Final = "big-list-of-naughty-strings/blns.json"
HISTORY_FILE: Final = "earthfink1982-salesforce-in-powerbi/OpportunityHistory.csv"

# Which object's records the rows of a CSV file are.
CSV_FILES: Final = {
    "SFDC-Assets-data-cloud-workshop/Account.csv": "Account",
    "SFDC-Assets-data-cloud-workshop/Contact.csv": "Contact",
    "SFDC-Assets-data-cloud-workshop/Lead.csv": "Lead",
    "SFDC-Assets-data-cloud-workshop/Opportunity.csv": "Opportunity",
    "SFDC-Assets-data-cloud-workshop/Task.csv": "Task",
    "earthfink1982-salesforce-in-powerbi/Account.csv": "Account",
    "earthfink1982-salesforce-in-powerbi/Contact.csv": "Contact",
    "earthfink1982-salesforce-in-powerbi/Lead.csv": "Lead",
    "earthfink1982-salesforce-in-powerbi/Opportunity.csv": "Opportunity",
    "forcedotcom-dataloader/accountsForInsert.csv": "Account",
    "forcedotcom-dataloader/acctsWithBinaryDataInRTF.csv": "Account",
    "forcedotcom-dataloader/csvEscapedQuotes.csv": "Account",
    "forcedotcom-dataloader/dateOnlyWithTimeZone.csv": "Account",
    "forcedotcom-dataloader/dateWithTimeZone.csv": "Account",
    "forcedotcom-dataloader/insertTaskWithContactAsWhoCsv.csv": "Task",
    "forcedotcom-dataloader/timeZoneFormatTestingWithErrors.csv": "Account",
    "forcedotcom-dataloader/upsertAccountCsvTemplate.csv": "Account",
    "trailheadapps-apex-recipes/Accounts.csv": "Account",
    "trailheadapps-apex-recipes/Contacts.csv": "Contact",
    "trailheadapps-apex-recipes/Opportunities.csv": "Opportunity",
}
# Whose records say themselves what they are.
JSON_FILES: Final = (
    "SFDO-CumulusCI/person_accounts.json",
    "SalesforceFoundation-EDA/qa.json",
    "mike4aday-SwiftlySalesforce/MockAccount.json",
    "mshanemc-groceryDemo/Contact.json",
    "mshanemc-groceryDemo/Event.json",
    "mshanemc-groceryDemo/Task.json",
    "salesforcecli-plugin-data/accounts-contacts-tree.json",
    "salesforcecli-plugin-data/commonChild_Account.json",
    "salesforcecli-plugin-data/commonChild_Opportunity.json",
    "salesforcecli-plugin-data/commonChild_Task.json",
    "salesforcecli-plugin-data/junction_Contact.json",
    "salesforcecli-plugin-data/moreThan200_Account.json",
    "salesforcecli-plugin-data/self-referencing_Account.json",
    "trailheadapps-apex-recipes/Accounts.json",
    "trailheadapps-apex-recipes/Contacts.json",
    "trailheadapps-apex-recipes/Opportunities.json",
    "trailheadapps-easy-spaces-lwc/Accounts.json",
    "trailheadapps-easy-spaces-lwc/Contacts.json",
    "trailheadapps-easy-spaces-lwc/Leads.json",
    "trailheadapps-ebikes-lwc/Accounts.json",
    "trailheadapps-functions-recipes/test-data.json",
)
