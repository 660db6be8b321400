"""Mixmax: recipients of one sequence go in one request, and each has its own status in the answer.

Source: Mixmax's reference of `POST /sequences/:id/recipients/` and `POST /sequences/:id/cancel`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from pipeline.json_text import decode_fields, encode_masked, unmask
from workers.relay.claim import RowKind
from workers.relay.targets import http
from workers.relay.targets.answers import Delivered, Held, Refused, SendApart
from workers.relay.targets.kinds import TargetKind

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from pipeline.settings import Relay
    from workers.relay.claim import Claim
    from workers.relay.targets.answers import Answer

MAX_RECIPIENTS: Final = 100
MAX_ANSWER_BYTES: Final = 1024 * 1024
_MAX_TOLD_CHARACTERS: Final = 500
_APART_FROM_ATTEMPT: Final = 3


class _Recipient(msgspec.Struct, frozen=True):
    email: str = ""
    status: str = ""
    errors: list[object] | str | None = None


class _Added(msgspec.Struct, frozen=True):
    recipients: list[_Recipient]


class _Cancelled(msgspec.Struct, frozen=True):
    recipients: list[object]


class MixmaxTarget:
    """Adds recipients to Mixmax's sequences and cancels them there."""

    claim_count: Final = MAX_RECIPIENTS

    def __init__(self, settings: Relay, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        """Return claims as they go out: together what may be in one request."""
        batches: dict[Hashable, list[Claim]] = {}
        for claim in claims:
            treatment = claim.treatment
            flags = (treatment.enrich, treatment.allow_missing_variables)
            key = (claim.kind, claim.org_id, claim.sequence, treatment.target_id, *flags)
            batches.setdefault(key, []).append(claim)
        return list(batches.values())

    async def deliver(self, batch: Sequence[Claim]) -> list[Answer] | SendApart:
        """Tell Mixmax of up to 100 rows of one batch; return their answers in the same order."""
        first = batch[0]
        is_exit = first.kind is RowKind.EXIT
        sequence_id = quote(first.treatment.target_id or first.sequence or "", safe="")
        path = "cancel" if is_exit else "recipients/"
        url = f"{self._settings.mixmax_url.rstrip('/')}/sequences/{sequence_id}/{path}"
        try:
            async with self._session.post(
                URL(url, encoded=True),
                data=_cancellation(batch) if is_exit else _addition(batch),
                headers={
                    "Content-Type": "application/json",
                    "X-API-Token": self._settings.mixmax_token.value,
                },
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            ) as response:
                http.count_answer(TargetKind.MIXMAX, response.status)
                body = await _bounded(response)
                if not http.is_success(response.status):
                    return _not_taken(response, body, batch)
        except http.UNREACHABLE as error:
            http.count_answer(TargetKind.MIXMAX, None)
            return [http.unreachable(error)] * len(batch)
        return _read_cancellation(batch, body) if is_exit else _read_addition(batch, body)


def _addition(batch: Sequence[Claim]) -> bytes:
    treatment = batch[0].treatment
    document = {
        "recipients": [
            {
                "email": claim.recipient,
                "variables": {}
                if claim.enrollment is None
                else decode_fields(claim.enrollment.variables.encode()),
            }
            for claim in batch
        ],
        "enrich": treatment.enrich,
        "allowMissingVariables": treatment.allow_missing_variables,
    }
    return unmask(encode_masked(document).encode())


def _cancellation(batch: Sequence[Claim]) -> bytes:
    return msgspec.json.encode({"emails": [claim.recipient for claim in batch]})


async def _bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Return an answer's body, or None if it is longer than any that belongs here."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            return None
    return bytes(body)


def _not_taken(
    response: aiohttp.ClientResponse, body: bytes | None, batch: Sequence[Claim]
) -> list[Answer] | SendApart:
    is_failing = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if len(batch) > 1 and (
        response.status in http.REFUSALS or (is_failing and _may_fail_for_one(batch))
    ):
        return SendApart()
    if response.status not in http.REFUSALS:
        return [http.held(response)] * len(batch)
    told = (body or b"").decode(errors="replace")[:_MAX_TOLD_CHARACTERS]
    answered = f"the target answered {response.status}"
    return [Refused(f"{answered}: {told}", logged=answered)]


def _may_fail_for_one(batch: Sequence[Claim]) -> bool:
    """Tell whether rows failed together so often that one may be why: it holds up no neighbours."""
    return min(claim.attempt for claim in batch) >= _APART_FROM_ATTEMPT


def _read_addition(batch: Sequence[Claim], body: bytes | None) -> list[Answer] | SendApart:
    try:
        answer = msgspec.json.decode(body or b"", type=_Added)
    except (msgspec.DecodeError, RecursionError):
        if len(batch) > 1 and _may_fail_for_one(batch):
            return SendApart()
        return [Held("the target's answer cannot be read")] * len(batch)
    by_email = {one.email.strip().lower(): one for one in answer.recipients}
    return [_answer(claim, by_email.get(claim.recipient.lower())) for claim in batch]


def _answer(claim: Claim, told: _Recipient | None) -> Answer:
    if told is None:
        return Held("the target's answer does not name the recipient")
    match told.status:
        case "success":
            return Delivered()
        case "duplicated":
            # Of a later generation, the recipient's earlier one is what was sent already.
            is_own = claim.generation == 1 or claim.was_unanswered
            return Delivered() if is_own else Refused("duplicated")
        case "unsubscribed":
            return Refused("unsubscribed")
        case "error":
            errors = told.errors if isinstance(told.errors, list) else [told.errors or "error"]
            told_errors = "; ".join(map(str, errors))[:_MAX_TOLD_CHARACTERS]
            return Refused(told_errors or "error", logged="the target answered with an error")
        case unknown:
            return Held(
                f"the target answered with the status {unknown[:50]!r}",
                logged="the target answered with a status that is not known",
            )


def _read_cancellation(batch: Sequence[Claim], body: bytes | None) -> list[Answer]:
    """Who is not in the answer was not in the sequence any more, which is what was asked for."""
    try:
        msgspec.json.decode(body or b"", type=_Cancelled)
    except (msgspec.DecodeError, RecursionError):
        return [Held("the target's answer cannot be read")] * len(batch)
    return [Delivered()] * len(batch)
