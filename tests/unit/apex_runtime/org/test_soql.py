"""SOQL as far as it is modelled; the rest is refused by name."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.unit.apex_runtime.org.conftest import Deploy


@pytest.fixture
def org(deploy: Deploy) -> Org:
    filled = deploy(start_ms=1_795_430_400_000)
    with filled.transaction() as tx:
        (acme, _) = tx.insert("Account", {"Name": "Acme"}, {"Name": "Zeta"})
        tx.insert(
            "Contact",
            {"LastName": "Abel", "AccountId": acme.record_id, "Email": "A@x.example"},
            {"LastName": "Baker", "DoNotCall": True},
            {"LastName": "charlie", "Title": "a_b%c"},
        )
        tx.insert(
            "Lead",
            {"LastName": "x", "Company": "y", "AnnualRevenue": Decimal("10.5")},
            {"LastName": "z", "Company": "y", "AnnualRevenue": Decimal(20)},
        )
    return filled


def names(org: Org, condition: str) -> list[object]:
    rows = org.select(f"SELECT LastName FROM Contact {condition}")  # noqa: S608  made up here
    return [row.fields["LastName"] for row in rows]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("WHERE LastName = 'ABEL'", ["Abel"]),
        ("WHERE LastName != 'Abel'", ["Baker", "charlie"]),
        ("WHERE LastName LIKE '%a%e%'", ["Abel", "Baker", "charlie"]),
        ("WHERE LastName LIKE '_bel'", ["Abel"]),
        ("WHERE LastName IN ('abel', 'CHARLIE')", ["Abel", "charlie"]),
        ("WHERE LastName NOT IN ('abel')", ["Baker", "charlie"]),
        ("WHERE Email = null", ["Baker", "charlie"]),
        ("WHERE Email != null", ["Abel"]),
        ("WHERE DoNotCall = true OR Account.Name = 'acme'", ["Abel", "Baker"]),
        ("WHERE DoNotCall = false AND (NOT LastName = 'Abel')", ["charlie"]),
        ("WHERE LastName > 'b' AND LastName <= 'baker'", ["Baker"]),
        ("WHERE AccountId IN (SELECT Id FROM Account WHERE Name = 'Acme')", ["Abel"]),
        ("WHERE CreatedDate = TODAY AND CreatedDate >= LAST_N_DAYS:2 LIMIT 1", ["Abel"]),
        ("WHERE CreatedDate > 2026-11-23T12:00:00Z", []),
        ("WHERE CreatedDate < YESTERDAY", []),
        ("ORDER BY LastName DESC", ["charlie", "Baker", "Abel"]),
        ("ORDER BY Email NULLS LAST, LastName DESC", ["Abel", "charlie", "Baker"]),
        ("ORDER BY Email, LastName", ["Baker", "charlie", "Abel"]),
        ("ORDER BY LastName LIMIT 1 OFFSET 1", ["Baker"]),
        ("WITH SYSTEM_MODE LIMIT 1", ["Abel"]),
    ],
)
def test_a_condition_finds_what_soql_finds(org: Org, condition: str, found: list[str]) -> None:
    assert names(org, condition) == found


def test_a_null_field_is_not_populated_and_the_id_always_is(org: Org) -> None:
    (row,) = org.select("SELECT Email, Account.Name FROM Contact WHERE LastName = 'Baker'")
    assert set(row.fields) == {"Id"}


def test_a_parent_comes_as_a_record(org: Org) -> None:
    (row,) = org.select("SELECT Account.Name, Account.Owner.Name FROM Contact WHERE Email != null")
    account = row.fields["Account"]
    assert account.fields["Name"] == "Acme"  # type: ignore[union-attr]  # a record
    assert account.fields["Owner"].fields["Name"] == "admin"  # type: ignore[union-attr]  # a record


def test_numbers_compare_by_value(org: Org) -> None:
    assert len(org.select("SELECT Id FROM Lead WHERE AnnualRevenue >= 10.5")) == 2
    assert len(org.select("SELECT Id FROM Lead WHERE AnnualRevenue > 10.50")) == 1


def test_binds_are_values_lists_and_limits(org: Org) -> None:
    with org.transaction() as tx:
        tx.anonymous(
            "Set<String> wanted = new Set<String>{ 'abel', 'baker' }; Integer most = 1;"
            "List<Contact> found = [SELECT LastName FROM Contact WHERE LastName IN :wanted"
            " ORDER BY LastName DESC LIMIT :most];"
            "System.assertEquals('Baker', found[0].LastName); System.assertEquals(1, found.size());"
            "System.assertEquals(3, [SELECT COUNT() FROM Contact]);"
            "System.assertEquals(2, Limits.getQueries());"
        )


def test_a_count_is_one_row_of_the_limit(org: Org) -> None:
    # Release notes Summer '19: COUNT() counts as one query row
    with org.transaction() as tx:
        tx.anonymous(
            "System.assertEquals(3, [SELECT COUNT() FROM Contact]);"
            "System.assertEquals(1, Limits.getQueryRows());"
        )


def test_ids_are_ordered_and_compared_with_their_case(deploy: Deploy) -> None:
    org = deploy()
    with org.transaction() as tx:
        # The last digits are 1 to 9, A to Z, then a to z.
        outcomes = tx.insert("Task", *({"Subject": str(number)} for number in range(70)))
        tx.delete(str(outcomes[50].record_id))
    saved = [str(each.record_id) for each in outcomes]
    query = "SELECT Id FROM Task WHERE Id > :last AND Subject != '40' ORDER BY Id LIMIT :most"
    with org.transaction() as tx:
        tx.anonymous(
            f"Id last = '{saved[30]}'; Integer most = 25; String found = '';"
            f"for (Task each : [{query}]) {{ found += each.Id + ' '; }}"
            "insert new Event(Subject = 'found', DurationInMinutes = 1, Description = found);"
        )
    (event,) = org.select("SELECT Description FROM Event")
    following = [each for each in saved[31:] if each not in (saved[40], saved[50])]
    assert str(event.fields["Description"]).split() == sorted(following)[:25] == following[:25]
    with org.transaction() as tx:
        tx.insert("Task", {"Subject": "later"})
    rows = org.select("SELECT Id, Subject FROM Task ORDER BY Id ALL ROWS")
    assert [row.fields["Id"] for row in rows][:70] == saved
    assert rows[-1].fields["Subject"] == "later"


FOUND = "Contact found = [SELECT Email, Account.Name FROM Contact WHERE LastName = 'Baker'];"


@pytest.mark.parametrize("field", ["Title", "AccountId", "Owner"])
def test_a_field_that_no_query_asked_for_is_refused(org: Org, field: str) -> None:
    # Guide page langCon_apex_SOQL
    with pytest.raises(ApexThrown, match="without querying"), org.transaction() as tx:
        tx.anonymous(f"{FOUND} Object x = found.{field};")


def test_a_field_that_was_asked_for_or_set_may_be_read(org: Org) -> None:
    with org.transaction() as tx:
        tx.anonymous(
            FOUND
            + "System.assertEquals(null, found.Email); System.assertEquals(null, found.Account);"
            "found.Title = 'set'; System.assertEquals('set', found.get('Title'));"
        )


def test_archived_activities_show_only_with_all_rows(org: Org) -> None:
    with org.transaction() as tx:
        (task,) = tx.insert("Task", {"Subject": "old"})
    row = org.store.get("Task", str(task.record_id))
    assert row is not None
    org.store.put("Task", str(task.record_id), {**row, "IsArchived": True})
    assert org.select("SELECT Id FROM Task") == []
    assert len(org.select("SELECT Id FROM Task ALL ROWS")) == 1


def test_a_long_text_cannot_be_filtered(org: Org) -> None:
    with pytest.raises(ApexThrown, match="can not be filtered"):
        org.select("SELECT Id FROM Contact WHERE Description = 'x'")


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Nothing__c FROM Contact",
        "SELECT Id FROM Nothing__c",
        "SELECT Nobody.Name FROM Contact",
        "SELECT Id, (SELECT Id FROM Tasks) FROM Contact",
        "SELECT MAX(LastName) FROM Contact",
    ],
)
def test_what_is_not_modelled_is_refused(org: Org, soql: str) -> None:
    with pytest.raises(NotModelled):
        org.select(soql)
