"""Database, and queries in brackets and in texts.

[apex_methods_system_database, apex_dynamic_soql]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexSet, ApexThrown, NotModelled, SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


def test_partial_dml_tells_what_became_of_each_record(apex: Apex) -> None:
    apex.platform.refused = frozenset({1})
    body = """
    List<Database.SaveResult> results = Database.insert(
        new List<Lead>{ new Lead(), new Lead() }, false, AccessLevel.SYSTEM_MODE
    );
    System.debug(results[0].isSuccess() + ' ' + results[0].getId() + results[0].getErrors().size());
    Database.Error error = results[1].getErrors()[0];
    System.debug(results[1].isSuccess() + ' ' + error.getStatusCode() + error.getMessage());
    """
    assert apex.run(body) == [
        "true 00Q5g00000HotLdEAJ0",
        "false REQUIRED_FIELD_MISSINGRequired: [LastName]",
    ]
    with pytest.raises(ApexThrown, match="DmlException"):
        apex.run("Database.update(new List<Lead>{ new Lead(), new Lead() });")


def test_a_single_record_gives_a_single_result(apex: Apex) -> None:
    assert apex.value("Database.upsert(new Lead(), AccessLevel.SYSTEM_MODE).isSuccess()") is True
    assert (
        apex.value("Database.delete(new Lead(Id = '00Q5g00000HotLd'), false).isSuccess()") is True
    )


def test_user_mode_is_not_modelled(apex: Apex) -> None:
    with pytest.raises(NotModelled, match="USER_MODE"):
        apex.run("Database.insert(new Lead(), AccessLevel.USER_MODE);")


def test_savepoints_are_the_platforms(apex: Apex) -> None:
    apex.run("Savepoint before = Database.setSavepoint(); Database.rollback(before);")
    assert apex.platform.done == [("rollback", "mark")]


def test_binds_are_evaluated_when_the_query_runs(apex: Apex) -> None:
    body = """
    Set<String> names = new Set<String>{ 'a' }; Integer most = 2;
    List<Lead> rows = [
        SELECT Id FROM Lead WHERE LastName IN :names OR Score__c = :(1 + 1) LIMIT :most
    ];
    """
    apex.run(body)
    most, names, two = apex.platform.bound
    assert isinstance(names, ApexSet)
    assert list(names) == ["a"]
    assert (two, most) == (2, 2)


def test_one_record_is_taken_from_a_query(apex: Apex) -> None:
    # Guide page langCon_apex_SOQL_single_row
    apex.platform.rows = [SObject("Lead", {"LastName": "x"})]
    assert apex.run("Lead l = [SELECT LastName FROM Lead]; System.debug(l.LastName);") == ["x"]
    query = "[SELECT LastName FROM Lead]"
    assert apex.value(f"{query}.LastName + {query}.size()") == "x1"
    for rows in ([], [SObject("Lead"), SObject("Lead")]):
        apex.platform.rows = rows
        with pytest.raises(ApexThrown, match="QueryException"):
            apex.run("Lead l = [SELECT LastName FROM Lead];")


def test_count_is_an_integer(apex: Apex) -> None:
    apex.platform.rows = [SObject("AggregateResult", {"expr0": 7})]
    assert apex.run("Integer n = [SELECT COUNT() FROM Lead]; System.debug(n + 1);") == ["8"]
    assert apex.value("Database.countQuery('SELECT COUNT() FROM Lead')") == 7


def test_dynamic_queries_bind_variables_that_are_visible(apex: Apex) -> None:
    apex.run(
        "String name = 'x';"
        "List<Lead> l = Database.query('SELECT Id FROM Lead WHERE LastName = :NAME');"
    )
    assert apex.platform.bound == ["x"]
    with pytest.raises(ApexThrown, match="QueryException"):
        apex.run("Database.query('SELECT Id FROM');")


def test_dynamic_queries_bind_the_keys_of_a_map(apex: Apex) -> None:
    call = "Database.queryWithBinds('SELECT Id FROM Lead WHERE LastName = :name', {}, {});"
    binds = "new Map<String, Object>{ 'Name' => 'x' }"
    apex.run(call.format(binds, "AccessLevel.SYSTEM_MODE"))
    assert apex.platform.bound == ["x"]
    with pytest.raises(ApexThrown, match="Key 'name' does not exist"):
        apex.run(call.format("new Map<String, Object>()", "AccessLevel.SYSTEM_MODE"))


def test_queries_of_unknown_types_are_refused_when_loading(refusals: Callable[..., str]) -> None:
    assert "'Nothing__c' is not supported" in refusals("Object o = [SELECT Id FROM Nothing__c];")
    assert "Variable does not exist: x" in refusals(
        "Object o = [SELECT Id FROM Lead WHERE Id = :x];"
    )
