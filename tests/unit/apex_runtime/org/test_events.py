"""Platform events: after commit, in batches, again after a RetryableException."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.unit.apex_runtime.org.conftest import Deploy

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'


def _text(name: str, kind: str, length: int) -> str:
    return (
        f"{_HEAD}<CustomField {_XMLNS}><fullName>{name}</fullName><label>x</label>"
        f"<type>{kind}</type><length>{length}</length></CustomField>"
    )


def files(behaviour: str = "PublishAfterCommit", batch_size: int | None = None) -> dict[str, str]:
    found = {
        "objects/Ping__e/Ping__e.object-meta.xml": (
            f"{_HEAD}<CustomObject {_XMLNS}><label>Ping</label><pluralLabel>Pings</pluralLabel>"
            "<deploymentStatus>Deployed</deploymentStatus><eventType>HighVolume</eventType>"
            f"<publishBehavior>{behaviour}</publishBehavior></CustomObject>"
        ),
        "objects/Ping__e/fields/Body__c.field-meta.xml": _text("Body__c", "LongTextArea", 131072),
        "objects/Ping__e/fields/Kind__c.field-meta.xml": _text("Kind__c", "Text", 20),
    }
    if batch_size is not None:
        found["platformEventSubscriberConfigs/x.platformEventSubscriberConfig-meta.xml"] = (
            f"{_HEAD}<PlatformEventSubscriberConfig {_XMLNS}><batchSize>{batch_size}</batchSize>"
            "<masterLabel>x</masterLabel><platformEventConsumer>OnPing</platformEventConsumer>"
            "</PlatformEventSubscriberConfig>"
        )
    return found


NOTE = """
trigger OnPing on Ping__e (after insert) {
    List<String> said = new List<String>();
    for (Ping__e each : Trigger.new) { said.add(each.Kind__c); }
    insert new Task(Subject = String.join(said, ','), Description = UserInfo.getName());
}
"""


def subjects(org: Org) -> list[Any]:
    return [each.fields["Subject"] for each in org.select("SELECT Subject FROM Task")]


def publish(org: Org, *kinds: str) -> None:
    with org.transaction() as tx:
        outcomes = tx.publish("Ping__e", *({"Kind__c": kind} for kind in kinds))
        assert all(each.success for each in outcomes)


def publish_and_fail(org: Org) -> None:
    source = "EventBus.publish(new Ping__e(Kind__c = 'a')); String s; s.length();"
    with pytest.raises(ApexThrown), org.transaction() as tx:
        tx.anonymous(source)


def test_events_are_delivered_after_the_commit_in_order_as_automated_process(
    deploy: Deploy,
) -> None:
    # Guide page platform_events_subscribe_apex
    org = deploy(NOTE, files=files())
    with org.transaction() as tx:
        tx.publish("Ping__e", {"Kind__c": "a"})
        tx.publish("Ping__e", {"Kind__c": "b"})
        assert subjects(org) == []
    org.run_until_idle()
    assert subjects(org) == ["a,b"]
    (task,) = org.select("SELECT Description FROM Task")
    assert str(task.fields["Description"]).startswith("Automated")


def test_a_rolled_back_transaction_publishes_nothing(deploy: Deploy) -> None:
    org = deploy(NOTE, files=files())
    publish_and_fail(org)
    org.run_until_idle()
    assert subjects(org) == []


def test_an_event_published_immediately_outlives_a_rollback(deploy: Deploy) -> None:
    # Guide page platform_events_define_ui: publish behavior
    org = deploy(NOTE, files=files("PublishImmediately"))
    publish_and_fail(org)
    org.run_until_idle()
    assert subjects(org) == ["a"]
    with org.transaction() as tx:
        tx.publish("Ping__e", {"Kind__c": "b"})
        assert tx.platform.limit("PublishImmediateDML") == (1, 150)
        assert tx.platform.limit("DmlStatements") == (0, 150)


def test_publishing_counts_one_dml_statement_and_mixes_with_users(deploy: Deploy) -> None:
    # Guide page apex_dml_non_mix_sobjects: events may
    org = deploy(NOTE, files=files())
    user = org.user("jane@example.com")
    with org.transaction() as tx:
        tx.update("User", {"Id": user, "IsActive": False})
        (outcome,) = tx.publish("Ping__e", {"Kind__c": "a"})
        assert outcome.success
        assert tx.platform.limit("DmlStatements") == (2, 150)


def test_a_batch_size_limits_what_a_trigger_takes_at_once(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_apex: PlatformEventSubscriberConfig, else 2,000
    org = deploy(NOTE, files=files(batch_size=2))
    publish(org, "a", "b", "c")
    org.run_until_idle()
    assert subjects(org) == ["a,b", "c"]


RETRYING = """
trigger OnPing on Ping__e (after insert) {
    EventBus.TriggerContext context = EventBus.TriggerContext.currentContext();
    insert new Task(Subject = Trigger.new.size() + ' retries ' + context.retries);
    if (context.retries < LIMIT) { throw new EventBus.RetryableException('again'); }
}
"""


def test_a_retryable_exception_delivers_again_with_what_came_since(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_compare_checkpoint_retryable
    org = deploy(RETRYING.replace("LIMIT", "2"), files=files())
    publish(org, "a")
    org.run_until_idle()
    publish(org, "b")
    org.advance(minutes=5)
    assert subjects(org) == ["2 retries 2"]


def test_ten_failed_runs_suspend_the_trigger(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_compare_checkpoint_retryable: nine retries
    org = deploy(RETRYING.replace("LIMIT", "99"), files=files())
    publish(org, "a")
    org.advance(minutes=60)
    assert len(org.failures) == 10
    assert org.bus.suspended == ["OnPing"]


def test_another_exception_loses_the_batch(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_batch_resume
    source = (
        "trigger OnPing on Ping__e (after insert) {"
        " if (Trigger.new[0].Kind__c == 'bad') { String s; s.length(); }"
        " insert new Task(Subject = Trigger.new[0].Kind__c); }"
    )
    org = deploy(source, files=files(batch_size=1))
    publish(org, "bad", "good")
    org.run_until_idle()
    assert subjects(org) == ["good"]


def test_a_checkpoint_settles_the_events_up_to_it(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_batch_resume
    source = (
        "trigger OnPing on Ping__e (after insert) { for (Ping__e each : Trigger.new) {"
        " if (each.Kind__c == 'bad' && Trigger.new[0].Kind__c != 'bad') { String s; s.length(); }"
        " insert new Task(Subject = each.Kind__c);"
        " EventBus.TriggerContext.currentContext().setResumeCheckpoint(each.ReplayId); } }"
    )
    org = deploy(source, files=files())
    publish(org, "good", "bad", "last")
    org.run_until_idle()
    assert subjects(org) == ["good", "bad", "last"]


def test_text_longer_than_its_field_and_an_hour_without_allocation_are_refused(
    deploy: Deploy,
) -> None:
    # Guide page platform_event_limits
    org = deploy(NOTE, files=files(), edition=Edition.DEVELOPER)
    assert org.bus.hourly_use() == (0, 50_000)
    org.bus.hourly_limit = 2
    with org.transaction() as tx:
        (long,) = tx.publish("Ping__e", {"Body__c": "x" * 131_073})
        assert long.errors[0][0] == "STRING_TOO_LONG"
        outcomes = tx.publish("Ping__e", *({"Body__c": "x" * 131_072} for _ in range(3)))
    assert [each.success for each in outcomes] == [True, True, False]


def test_an_event_trigger_has_synchronous_limits_and_makes_no_callout(deploy: Deploy) -> None:
    # Guide page platform_events_subscribe_apex
    source = (
        "trigger OnPing on Ping__e (after insert) { HttpRequest r = new HttpRequest();"
        " r.setEndpoint('https://x.example'); r.setMethod('GET'); new Http().send(r); }"
    )
    org = deploy(source, files=files())
    publish(org, "a")
    org.run_until_idle()
    assert "Callout from triggers" in str(org.failures[0].error)
