"""Apex tests: isolation, startTest and stopTest, mocks, coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.org.testing import run_tests

if TYPE_CHECKING:
    from tests.unit.apex_runtime.org.conftest import Deploy

ASKING = """
public class Asking implements Queueable, Database.AllowsCallouts {
    public void execute(QueueableContext c) {
        HttpRequest r = new HttpRequest();
        r.setEndpoint('https://x.example/y');
        r.setMethod('GET');
        HttpResponse answer = new Http().send(r);
        insert new Task(Subject = answer.getBody());
    }
    public static Integer unused() {
        return 1;
    }
}
"""
TESTS = """
@isTest
private class AskingTest {
    private class Mock implements HttpCalloutMock {
        public HttpResponse respond(HttpRequest r) {
            System.assertEquals('https://x.example/y', r.getEndpoint());
            HttpResponse answer = new HttpResponse();
            answer.setStatusCode(200);
            answer.setBody('mocked');
            return answer;
        }
    }
    @TestSetup
    static void prepare() {
        insert new Lead(LastName = 'prepared', Company = 'x');
    }
    @isTest
    static void asks() {
        Test.setMock(HttpCalloutMock.class, new Mock());
        insert new Lead(LastName = 'own', Company = 'x');
        System.assertEquals(2, [SELECT COUNT() FROM Lead]);
        Test.startTest();
        System.assertEquals(0, Limits.getQueries());
        System.enqueueJob(new Asking());
        Test.stopTest();
        System.assertEquals('mocked', [SELECT Subject FROM Task].Subject);
    }
    @isTest
    static void startsFromTheSetup() {
        System.assertEquals(1, [SELECT COUNT() FROM Lead]);
        System.assert(Test.isRunningTest());
    }
    @isTest
    static void fails() {
        System.assertEquals(1, 2, 'as it should');
    }
    @isTest
    static void callsOutWithoutMock() {
        Test.startTest();
        System.enqueueJob(new Asking());
        Test.stopTest();
    }
    @isTest
    static void runsAsOthersBesideSetupObjects() {
        User me = [SELECT Id, IsActive FROM User WHERE Id = :UserInfo.getUserId()];
        insert new Lead(LastName = 'own', Company = 'x');
        System.runAs(me) {
            update new User(Id = me.Id, IsActive = true, UserRoleId = null);
        }
    }
}
"""


def test_each_method_runs_in_a_copy_of_what_the_setup_made(deploy: Deploy) -> None:
    # Guide page apex_testing_testsetup_using, apex_testing_tools_start_stop_test
    org = deploy(ASKING, TESTS)
    results, coverage = run_tests(org)
    failures = {each.method: each.failure for each in results}
    assert failures["asks"] is None
    assert failures["startsFromTheSetup"] is None
    assert failures["runsAsOthersBesideSetupObjects"] is None
    assert "as it should" in str(failures["fails"])
    assert "do not support Web service callouts" in str(failures["callsOutWithoutMock"])
    assert org.select("SELECT Id FROM Lead") == []
    ((file, covered),) = coverage.items()
    assert file.endswith("Asking.cls")
    assert 0.8 < covered.share < 1
