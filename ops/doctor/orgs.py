"""Checks of each org: connected, heard of, its clock, what it has parked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.org_watch import MAX_SKEW_MS, OVERDUE_S
from ops import orgs as registry
from ops.commands.lines import times
from ops.doctor.finding import Verdict, fine, wrong
from ops.org_secrets import at_rest
from ops.times import age_s, ago, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.doctor.subject import Subject
    from ops.orgs import OrgState

_MAX_TOLD: Final = 20
_HEARTBEAT: Final = "as anonymous Apex in that org: Penstock.heartbeat();"


async def orgs(subject: Subject) -> list[Verdict]:
    """See that each org is connected, was heard of lately, and has a clock that is right."""
    known = await registry.listing(subject.database)
    if not known:
        return [wrong("no org is registered", "penstock org add ORG_ID --sync-user USER_ID")]
    found = [verdict for org in known for verdict in _of(org)]
    if not found:
        return [fine(f"{len(known)} connected and heard of lately")]
    if len(found) > _MAX_TOLD:
        more = wrong(f"and {len(found) - _MAX_TOLD} more of other orgs", "penstock org list")
        return [*found[:_MAX_TOLD], more]
    return found


async def secrets(subject: Subject) -> Verdict:
    """See that orgs' secrets are encrypted in the database, and that the keys here open them."""
    ring = subject.settings.secrets.ring()
    told = await at_rest(subject.database, ring)
    if told.unreadable:
        return wrong(
            f"those of {times(len(told.unreadable), 'org')} cannot be read, org"
            f" {told.unreadable[0]} first",
            "put the key that encrypted them back into PENSTOCK_SECRETS__KEYS",
        )
    if not ring:
        return fine("orgs' secrets are stored plain: PENSTOCK_SECRETS__KEYS would encrypt them")
    if told.stale_count:
        return wrong(
            f"those of {times(told.stale_count, 'org')} are not encrypted under the newest key",
            "penstock secrets rotate",
        )
    return fine("orgs' secrets are encrypted under the newest key")


def _of(org: OrgState) -> Iterator[Verdict]:
    name = f"org {org.org_id}"
    if org.state == "paused":
        yield wrong(f"{name} is paused: it parks its changes", f"penstock org resume {org.org_id}")
        return
    if not org.connected:
        mend = f"penstock org rotate {org.org_id}   (and run the line that it prints there)"
        if org.connect_code_expires_at is not None:
            mend = (
                "run the line that `penstock org add` printed there, as its Sync User; or " + mend
            )
        yield wrong(f"{name} is not connected", mend)
        return
    if org.heard_at is None:
        yield wrong(f"{name} was never heard of since it connected", _HEARTBEAT)
        return
    if age_s(org.heard_at) > OVERDUE_S:
        mend = f"look for Penstock in its Setup, Scheduled Jobs; {_HEARTBEAT}"
        yield wrong(f"{name} was heard of last {ago(org.heard_at)}", mend)
    told = org.heartbeat
    if told is None:
        return
    if told.clock_skew_ms is not None and abs(told.clock_skew_ms) > MAX_SKEW_MS:
        skew = span(abs(told.clock_skew_ms) / 1000)
        yield wrong(
            f"{name}'s clock is {skew} {'ahead of' if told.clock_skew_ms > 0 else 'behind'} this"
            " one: beyond 5 min its callouts are refused",
            "synchronise the clock of the machine that ingest runs on: systemctl restart chrony",
        )
    if told.overflow_count:
        yield wrong(
            f"{name} has {told.overflow_count:,} parked changes that it could not send",
            "look at them in that org: App Launcher, Parked Changes",
        )
