"""The sample org's day: connect it, apply its rules, send its callouts, see what they cause."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops import orgs, rule_store
from ops.errors import OpsError
from ops.explanation import Explanation, explain_enrollment
from ops.sample.callout import Answer, Caller
from ops.sample.records import SampleOrg
from ops.sample.rules import sample_rules
from ops.sample.story import story
from ops.sample.timeline import Run

if TYPE_CHECKING:
    import aiohttp

    from ops.rule_plan import PlannedRule
    from ops.sample.capture import Capture
    from pipeline.database import Connection
    from pipeline.key_ring import KeyRing

# The story is over within an eye's blink, so that its changes are as fresh as real ones.
_STEP_MS: Final = 10
_STORY_MS: Final = 30 * _STEP_MS
_SETTLE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05

_COUNT_PERSISTED: Final = """
    SELECT count(*) FROM change WHERE org_id = $1 AND capture_id = ANY($2::text[])"""
_COUNT_OPEN: Final = """
    SELECT count(*) FROM outbox WHERE org_id = $1 AND state = 'open'"""
# A firing that enrolled nobody (they are in the sequence already) shows the enrolment that stands.
_READ_ENROLLED: Final = """
    SELECT DISTINCT ON (firing.firing_id, event.action)
           firing.capture_id, firing.record_id, enrollment.enrollment_id,
           enrollment.firing_id = firing.firing_id AS is_new
    FROM firing
    JOIN enrollment_event AS event USING (firing_id)
    JOIN enrollment ON (enrollment.org_id, enrollment.sequence, enrollment.recipient)
                     = (event.org_id, event.sequence, event.recipient)
    WHERE firing.org_id = $1 AND firing.capture_id = ANY($2::text[])"""


class Told(NamedTuple):
    """An enrolment that a change caused, explained; `is_new` unless it stood before."""

    explanation: Explanation
    is_new: bool


class Played(NamedTuple):
    """A capture that was sent, and per record id the enrolments that it caused."""

    capture: Capture
    enrolled: dict[str, list[Told]]


class Rehearsal:
    """Plays the sample org's story against a running Penstock."""

    def __init__(
        self,
        base_url: str,
        connection: Connection,
        session: aiohttp.ClientSession,
        seed: int,
        ring: KeyRing = orgs.PLAIN,
    ) -> None:
        self._ring = ring
        self.org = SampleOrg(seed)
        self._connection = connection
        self._caller = Caller(base_url, self.org.org_id, None, session)

    @property
    def secret(self) -> str:
        """The sample org's secret, once it is connected."""
        if self._caller.secret is None:
            raise OpsError("the sample org is not connected")
        return self._caller.secret

    async def connect(self) -> None:
        """Register the org if it is not, and shake hands as its Sync User."""
        sync_user_id = str(self.org.sync_user["Id"])
        known = {state.org_id for state in await orgs.listing(self._connection)}
        code = await (
            orgs.rotate(self._connection, self.org.org_id, self._ring)
            if self.org.org_id in known
            else orgs.add(self._connection, self.org.org_id, sync_user_id, ring=self._ring)
        )
        answer = await self._until_known(code.connect_code, sync_user_id)
        _require(answer, HTTPStatus.OK, "the handshake")

    async def _until_known(self, connect_code: str, sync_user_id: str) -> Answer:
        """Shake hands; ingest learns of a new code within milliseconds, by notification."""
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        while True:
            answer = await self._caller.handshake(
                connect_code,
                instance_url="https://penstock-sample.example",
                is_sandbox=False,
                user_id=sync_user_id,
                package_version="0.1.0",
            )
            if answer.status == HTTPStatus.OK or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(_POLL_S)

    async def apply_rules(self) -> list[PlannedRule]:
        """Apply the sample rules."""
        plan = await rule_store.apply(self._connection, self.org.org_id, sample_rules())
        return plan.rules

    async def play(self) -> list[Played]:
        """Send the story's callouts in order; return once all that they cause is delivered.

        Raises:
            OpsError: an answer was not 202, or the effects did not come in time.
        """
        now_ms = time.time_ns() // 1_000_000
        run = Run(start_ms=now_ms - _STORY_MS, step_ms=_STEP_MS, salt=str(now_ms))
        captures = list(story(self.org, run))
        for capture in captures:
            answer = await self._caller.send(capture)
            _require(answer, HTTPStatus.ACCEPTED, f"the callout of {capture.object}")
        await self._settled(captures)
        return await self._read(captures)

    async def _settled(self, captures: list[Capture]) -> None:
        capture_ids = [capture.capture_id for capture in captures]
        expected = sum(len(capture.changes) for capture in captures)
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        while True:
            arrived = await self._connection.fetchval(
                _COUNT_PERSISTED, self.org.org_id, capture_ids
            )
            open_count = await self._connection.fetchval(_COUNT_OPEN, self.org.org_id)
            if arrived == expected and open_count == 0:
                return
            if time.monotonic() > deadline:
                raise OpsError(
                    f"after {_SETTLE_TIMEOUT_S:g} s {arrived} of {expected} changes are committed"
                    f" and {open_count} deliveries are open: the logs in .penstock/ say why"
                )
            await asyncio.sleep(_POLL_S)

    async def _read(self, captures: list[Capture]) -> list[Played]:
        played = {capture.capture_id: Played(capture, {}) for capture in captures}
        rows = await self._connection.fetch(_READ_ENROLLED, self.org.org_id, list(played))
        for row in rows:
            explanation = await explain_enrollment(self._connection, row["enrollment_id"])
            played[row["capture_id"]].enrolled.setdefault(row["record_id"], []).append(
                Told(explanation, row["is_new"])
            )
        return list(played.values())


def _require(answer: Answer, status: HTTPStatus, what: str) -> None:
    if answer.status != status:
        problem = msgspec.json.decode(answer.body).get("detail", "")
        raise OpsError(f"{what} was answered {answer.status}: {problem}")
