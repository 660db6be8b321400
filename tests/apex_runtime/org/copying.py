"""Copies of an org: for Apex tests, and as a refreshed sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.org.schema import Kind

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.values import Id


def copy(org: Org) -> Org:
    """Return an org of the same rows, settings and automation; nothing is queued in it."""
    twin = type(org)(
        org.program,
        org.catalog,
        org_id=org.org_id,
        edition=org.edition,
        daily_async_executions=org.queue.daily_limit,
        start_ms=org.clock.now_ms,
    )
    twin.store = org.store.copy()
    twin.users.admin = org.users.admin
    twin.users.automated_process = org.users.automated_process
    twin.automation = org.automation
    twin.validates_converted_leads = org.validates_converted_leads
    twin.network.remote_sites = list(org.network.remote_sites)
    twin.network.routes = dict(org.network.routes)
    return twin


def copy_as_sandbox(org: Org, org_id: Id) -> Org:
    """Return a sandbox: custom settings, protected ones too, come along under the new org id.

    Nothing is scheduled in it.
    """
    twin = copy(org)
    twin.org_id = org_id
    row = twin.store.get("Organization", org.org_id)
    assert row is not None
    twin.store.remove("Organization", org.org_id)
    twin.store.put("Organization", org_id, {**row, "Id": org_id, "IsSandbox": True})
    for name in ("CronTrigger", "CronJobDetail"):
        for scheduled in twin.store.rows(name):
            twin.store.remove(name, str(scheduled["Id"]))
    for kind in twin.catalog:
        if kind.kind is Kind.CUSTOM_SETTING:
            _point_settings_at(twin, kind.name, org.org_id)
    twin.store.commit()
    return twin


def _point_settings_at(twin: Org, type_name: str, old_org_id: Id) -> None:
    """Have the organization's level of a setting belong to the copy."""
    for row in twin.store.rows(type_name):
        if row.get("SetupOwnerId") == old_org_id:
            twin.store.put(type_name, str(row["Id"]), {**row, "SetupOwnerId": twin.org_id})
