"""`UserInfo`, `Request`, `System`, `Test`, `URL`: what a transaction knows of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.language.text import text_of
from tests.apex_runtime.library.assertions import SYSTEM_ASSERTIONS
from tests.apex_runtime.library.jobs import attach, enqueue
from tests.apex_runtime.library.registry import (
    InSession,
    define,
    define_enum,
    enum_constant,
    getter,
    platform_object,
)
from tests.apex_runtime.scalars import ApexDatetime, Long, TypeValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.objects import ApexObject
    from tests.apex_runtime.scalars import EnumValue
    from tests.apex_runtime.values import Value


def _asked(type_name: str, signatures: Iterable[str]) -> dict[str, InSession]:
    """Return rows of methods without parameters that the platform answers by their name."""

    def row(signature: str) -> InSession:
        name = f"{type_name}.{signature.partition('(')[0]}"
        return InSession(lambda session: session.platform.context(name))

    return {signature: row(signature) for signature in signatures}


define_enum("LoggingLevel", "NONE", "ERROR", "WARN", "INFO", "DEBUG", "FINE", "FINER", "FINEST")
define_enum(
    "TriggerOperation",
    "BEFORE_INSERT",
    "BEFORE_UPDATE",
    "BEFORE_DELETE",
    "AFTER_INSERT",
    "AFTER_UPDATE",
    "AFTER_DELETE",
    "AFTER_UNDELETE",
)
define_enum(
    "Quiddity",
    "ANONYMOUS",
    "AURA",
    "BATCH_ACS",
    "BATCH_APEX",
    "BULK_API",
    "COMMERCE_INTEGRATION",
    "DISCOVERABLE_LOGIN",
    "FLOW",
    "FUTURE",
    "INBOUND_EMAIL_SERVICE",
    "INVOCABLE_ACTION",
    "IOT",
    "PLATFORM_EVENT_PUBLISH_CALLBACK",
    "POST_INSTALL_SCRIPT",
    "QUEUEABLE",
    "QUICK_ACTION",
    "REMOTE_ACTION",
    "REST",
    "RUNTEST_ASYNC",
    "RUNTEST_DEPLOY",
    "RUNTEST_SYNC",
    "SCHEDULED",
    "SOAP",
    "SYNCHRONOUS",
    "TRANSACTION_FINALIZER_QUEUEABLE",
    "UNDEFINED",
    "VF",
)

define(
    "UserInfo",
    statics=_asked(
        "UserInfo",
        (
            "getFirstName() String",
            "getLanguage() String",
            "getLastName() String",
            "getLocale() String",
            "getName() String",
            "getOrganizationId() String",
            "getOrganizationName() String",
            "getProfileId() String",
            "getUserEmail() String",
            "getUserId() String",
            "getUserName() String",
            "getUserRoleId() String",
            "getUserType() String",
            "isMultiCurrencyOrganization() Boolean",
        ),
    ),
)


def _request(session: Session) -> ApexObject:
    return platform_object(
        "Request",
        id=session.platform.context("Request.getRequestId"),
        quiddity=enum_constant("Quiddity", str(session.platform.context("Request.getQuiddity"))),
    )


define(
    "Request",
    statics={"getCurrent() Request": InSession(_request)},
    methods={
        "getQuiddity() Quiddity": getter("quiddity"),
        "getRequestId() String": getter("id"),
    },
)


def _debug(session: Session, value: Value) -> None:
    session.log.append(text_of(session, value))


def _debug_at(session: Session, _level: EnumValue, value: Value) -> None:
    _debug(session, value)


define(
    "System",
    statics={
        **SYSTEM_ASSERTIONS,
        **_asked(
            "System",
            (
                "isBatch() Boolean",
                "isFuture() Boolean",
                "isQueueable() Boolean",
                "isScheduled() Boolean",
            ),
        ),
        "attachFinalizer(Finalizer) void": InSession(attach),
        "currentTimeMillis() Long": InSession(lambda session: Long(session.platform.now_ms())),
        "debug(Object) void": InSession(_debug),
        "debug(LoggingLevel,Object) void": InSession(_debug_at),
        "enqueueJob(Queueable) Id": InSession(enqueue),
        "enqueueJob(Queueable,Integer) Id": InSession(enqueue),
        "enqueueJob(Queueable,AsyncOptions) Id": InSession(enqueue),
        "now() Datetime": InSession(lambda session: ApexDatetime(session.platform.now_ms())),
        "schedule(String,String,Schedulable) String": InSession(
            lambda session, name, cron, job: session.platform.schedule(name, cron, job)
        ),
        "today() Date": InSession(
            lambda session: ApexDatetime(session.platform.now_ms()).utc.date()
        ),
    },
)


def _set_mock(session: Session, interface: TypeValue, mock: ApexObject) -> None:
    if interface.type.name != "HttpCalloutMock":
        raise NotModelled(f"Test.setMock({interface.type})")
    session.platform.set_mock(mock)


define(
    "Test",
    statics={
        **_asked("Test", ("isRunningTest() Boolean",)),
        "getEventBus() EventBus.TestBroker": lambda: platform_object("EventBus.TestBroker"),
        "setMock(Type,Object) void": InSession(_set_mock),
        "startTest() void": InSession(lambda session: session.platform.start_test()),
        "stopTest() void": InSession(lambda session: session.platform.stop_test()),
    },
)

define(
    "URL",
    statics={
        "getOrgDomainUrl() URL": InSession(
            lambda session: platform_object(
                "URL", name=session.platform.context("URL.getOrgDomainUrl")
            )
        ),
    },
    methods={
        "toExternalForm() String": getter("name"),
        "getHost() String": lambda this: this.fields["name"].partition("://")[2].partition("/")[0],
    },
)
