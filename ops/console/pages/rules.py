"""Rules: what each does and did; one of them with its text, tried on history, off and on."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aiohttp import web

from ops import actions, rule_activity, rule_life, rule_versions
from ops.actions import Action
from ops.console import asked
from ops.console.context import context_of, owner_of
from ops.console.rendering import page
from ops.errors import OpsError
from ops.rule_trial import read_documents, try_rules

if TYPE_CHECKING:
    from ops.rule_trial import RuleTrial
    from ops.rule_versions import RuleWhole

_PAGE: Final = 100
_FIRINGS: Final = 20
_SAMPLES: Final = 5
_DAY_MS: Final = 86_400_000
# Each reads much of the history.
_ONE_TRIAL: Final = asyncio.Semaphore(1)
_TRIAL_TIMEOUT_S: Final = 30.0

ROUTES = web.RouteTableDef()


class Days(StrEnum):
    """How far back a rule is tried."""

    ONE = "1"
    SEVEN = "7"
    THIRTY = "30"


@ROUTES.get("/rules")
async def listing(request: web.Request) -> web.Response:
    """Show every rule that is not removed, in pages by org and name."""
    org_id = asked.text(request.query, "org")
    after_org, _, after_rule = (asked.text(request.query, "after") or "").partition("~")
    async with context_of(request).pool.acquire() as connection:
        rows = await rule_versions.listing(
            connection, org_id, after=(after_org, after_rule), limit=_PAGE + 1
        )
        shown, has_more = asked.one_page(rows, _PAGE)
        activity = await rule_activity.today(connection, [(row.org_id, row.rule) for row in shown])
    return page(
        request,
        "rules.html",
        rules=[(row, activity[row.org_id, row.rule]) for row in shown],
        next_key=f"{shown[-1].org_id}~{shown[-1].rule}" if has_more else None,
        most_counted=rule_activity.MOST_COUNTED,
    )


@ROUTES.get("/rules/{org_id}/{rule}")
async def one(request: web.Request) -> web.Response:
    """Show one rule: its text, its versions, its last firings; tried on history if asked."""
    org_id, rule = request.match_info["org_id"], request.match_info["rule"]
    days = asked.choice(request.query, "days", Days)
    context = context_of(request)
    async with context.pool.acquire() as connection:
        shown = await rule_versions.show(connection, org_id, rule, None)
        versions = await rule_versions.versions(connection, org_id, rule)
        activity = await rule_activity.today(connection, [(org_id, rule)])
        firings = await rule_activity.newest(connection, org_id, rule, limit=_FIRINGS)
    trial = None if days is None else await _try(request, org_id, shown, int(days))
    return page(
        request,
        "rule.html",
        rule=shown,
        versions=versions[::-1],
        activity=activity[org_id, rule],
        firings=firings,
        most_counted=rule_activity.MOST_COUNTED,
        trial=trial,
        days=days,
        choices=list(Days),
    )


@ROUTES.post("/rules/{org_id}/{rule}/{state:disable|enable}")
async def set_state(request: web.Request) -> web.Response:
    """Stop a rule, or let it decide again."""
    org_id, rule = request.match_info["org_id"], request.match_info["rule"]
    actor = owner_of(request).name
    if request.match_info["state"] == "disable":
        change, action = rule_life.disable, Action.RULE_DISABLE
    else:
        change, action = rule_life.enable, Action.RULE_ENABLE
    async with (
        context_of(request).pool.acquire() as connection,
        actions.recorded(connection, action, actor=actor, org_id=org_id, rules=[rule]),
    ):
        await change(connection, org_id, [rule])
    raise web.HTTPSeeOther(request.rel_url.parent)


async def _try(request: web.Request, org_id: str, rule: RuleWhole, days: int) -> RuleTrial:
    """Show a rule the last days' changes, one trial at a time and for no longer than 30 s."""
    tried = read_documents([(f"version {rule.version}", rule.source)])
    until_ms = time.time_ns() // 1_000_000
    pool = context_of(request).pool
    try:
        async with (
            asyncio.timeout(_TRIAL_TIMEOUT_S),
            _ONE_TRIAL,
            pool.acquire() as reading,
            pool.acquire() as asking,
        ):
            trial = await try_rules(
                reading,
                asking,
                org_id,
                tried,
                since_ms=until_ms - days * _DAY_MS,
                until_ms=until_ms,
                sample_count=_SAMPLES,
            )
    except TimeoutError:
        raise OpsError(
            f"{days} days of changes are more than can be read in {_TRIAL_TIMEOUT_S:g} s:"
            f" `penstock rules show {rule.rule} --org {org_id} | penstock rules test -"
            f" --since {days}d --org {org_id}` takes its time"
        ) from None
    return trial.rules[0]
