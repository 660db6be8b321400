"""What UserInfo, Request, System and Test say of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.values import ApexThrown, new_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.org.jobs import Job
    from tests.apex_runtime.org.testing import TestRun
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import Value

_USER_FIELDS: Final = {
    "UserInfo.getUserName": "Username",
    "UserInfo.getUserEmail": "Email",
    "UserInfo.getFirstName": "FirstName",
    "UserInfo.getLastName": "LastName",
    "UserInfo.getName": "Name",
    "UserInfo.getProfileId": "ProfileId",
    "UserInfo.getUserRoleId": "UserRoleId",
    "UserInfo.getUserType": "UserType",
    "UserInfo.getLocale": "LocaleSidKey",
    "UserInfo.getLanguage": "LanguageLocaleKey",
}
_QUIDDITIES: Final = {
    Context.SYNC: "ANONYMOUS",
    Context.QUEUEABLE: "QUEUEABLE",
    Context.FUTURE: "FUTURE",
    Context.BATCH: "BATCH_APEX",
    Context.EVENT: "PLATFORM_EVENT_PUBLISH_CALLBACK",
    Context.FINALIZER: "TRANSACTION_FINALIZER_QUEUEABLE",
    Context.SCHEDULED: "SCHEDULED",
}


def _quiddity(tx: Transaction) -> str:
    """Return what kind of request runs: a test's own transaction, or as the context says."""
    if tx.test is not None and tx.context_kind is Context.SYNC:
        return "RUNTEST_SYNC"
    return _QUIDDITIES[tx.context_kind]


_VALUES: Final[dict[str, Callable[[Transaction], Value]]] = {
    "UserInfo.getUserId": lambda tx: tx.user_id,
    "UserInfo.getOrganizationId": lambda tx: tx.org.org_id,
    "UserInfo.getOrganizationName": lambda _: "Example",
    "UserInfo.isMultiCurrencyOrganization": lambda _: False,
    "Request.getRequestId": lambda tx: tx.request_id,
    "Request.getQuiddity": _quiddity,
    "System.isBatch": lambda tx: tx.context_kind is Context.BATCH,
    "System.isFuture": lambda tx: tx.context_kind is Context.FUTURE,
    "System.isQueueable": lambda tx: tx.context_kind is Context.QUEUEABLE,
    "System.isScheduled": lambda tx: tx.context_kind is Context.SCHEDULED,
    "Test.isRunningTest": lambda tx: tx.test is not None,
    "URL.getOrgDomainUrl": lambda _: "https://example.my.salesforce.com",
    "AsyncInfo.getCurrentQueueableStackDepth": lambda tx: _job(tx).depth,
    "AsyncInfo.getMaximumQueueableStackDepth": lambda tx: _job(tx).most_depth,
    "AsyncInfo.getMinimumQueueableDelayInMinutes": lambda tx: _job(tx).delay_min,
    "AsyncInfo.hasMaxStackDepth": lambda tx: _job(tx).most_depth is not None,
    "EventBus.TriggerContext.retries": lambda tx: tx.delivery.get("retries"),
    "EventBus.TriggerContext.lastError": lambda tx: tx.delivery.get("lastError"),
}


def value_of(tx: Transaction, name: str) -> Value:
    """Return what a name of the platform's classes stands for; see `Platform.context`."""
    if name in _USER_FIELDS:
        return tx.org.users.row(tx.user_id).get(_USER_FIELDS[name])
    if name not in _VALUES:
        raise unknown(name)
    return _VALUES[name](tx)


def unknown(name: str) -> NotModelled:
    """Return the refusal of a name that nobody has modelled."""
    return NotModelled(name)


def running_test(tx: Transaction) -> TestRun:
    """Return the test that runs; outside of one there is an exception for Apex."""
    if tx.test is None:
        raise ApexThrown(new_exception("NoAccessException", "This is for tests only"))
    return tx.test


def _job(tx: Transaction) -> Job:
    """Return the queueable that runs."""
    if tx.job is None:
        raise unknown("AsyncInfo outside of a queueable")
    return tx.job
