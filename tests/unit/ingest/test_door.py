from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from ingest.door import Door
from ingest.problems import Problem
from ingest.registry import Org, Registry
from pipeline.settings import Secret
from pipeline.signing import key_of, new_secret, signed_headers

if TYPE_CHECKING:
    from aiohttp.web import Request

ORG_ID = "00D5g000004XyzAEAS"
SECRET, NEXT_SECRET, CODE = new_secret(), new_secret(), new_secret()
BODY = b'{"version":1}'


def org(**changed: Any) -> Org:
    """Return a connected org, but for what is changed."""
    row = {
        "org_id": ORG_ID,
        "sync_user_id": "0055g00000AbCdEAAV",
        "secret": SECRET,
        "next_secret": None,
        "connect_code": None,
        "connect_code_expires_s": None,
        "paused": False,
        "conditions": msgspec.Raw(b"{}"),
        "conditions_version": 1,
        **changed,
    }
    live = [key_of(row[name]) for name in ("secret", "next_secret") if row[name]]
    stored = {"stored_code": row["connect_code"], "stored_next": row["next_secret"]}
    return Org(**row, keys=tuple(live), **stored)


class Orgs(Registry):
    """A registry that was read once, and is as fresh as told."""

    def __init__(self, *known: Org, stale: bool = False) -> None:
        super().__init__(Secret(""))
        self._orgs = {each.org_id: each for each in known}
        self._is_stale = stale

    @property
    def stale(self) -> bool:
        return self._is_stale


def request(org_id: str = ORG_ID, **headers: str) -> Request:
    return make_mocked_request(
        "POST",
        "/",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        match_info={"org_id": org_id},
    )


def signed(secret: str, at_s: float | None = None) -> Request:
    now_s = int(time.time() if at_s is None else at_s)
    return make_mocked_request("POST", "/", headers=signed_headers(secret, "msg_1", now_s, BODY))


def refusal(door: Door, asked: Request) -> Problem:
    with pytest.raises(Problem) as problem:
        door.connected_org(asked)
    return problem.value


def nobody_rotates(_: Org) -> None:
    raise AssertionError("no next secret was used")


@pytest.mark.parametrize("org_id", [ORG_ID, ORG_ID[:15]])
def test_an_org_is_found_by_either_form_of_its_id(org_id: str) -> None:
    known = org()
    assert Door(Orgs(known), nobody_rotates).connected_org(request(org_id)) is known


@pytest.mark.parametrize("org_id", ["00D5g000004OthrEAS", ORG_ID.lower(), "x", "", "é" * 18])
def test_an_unknown_org_is_forbidden_and_while_the_registry_is_stale_told_to_wait(
    org_id: str,
) -> None:
    assert refusal(Door(Orgs(org()), nobody_rotates), request(org_id)).status == 403
    waits = refusal(Door(Orgs(org(), stale=True), nobody_rotates), request(org_id))
    assert (waits.status, bool(waits.retry_after_s)) == (503, True)


def test_a_known_org_is_served_while_the_registry_is_stale() -> None:
    known = org()
    assert Door(Orgs(known, stale=True), nobody_rotates).connected_org(request()) is known


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"paused": True}, "paused"),
        ({"secret": None}, "not connected"),
        ({"secret": None, "connect_code": CODE}, "not connected"),
    ],
)
def test_an_org_that_may_not_send_is_forbidden_and_told_why(
    changed: dict[str, Any], why: str
) -> None:
    problem = refusal(Door(Orgs(org(**changed)), nobody_rotates), request())
    assert problem.status == 403
    assert why in problem.detail


def test_what_the_org_signed_is_let_in() -> None:
    Door(Orgs(), nobody_rotates).verify(signed(SECRET), org(), BODY)


def test_what_it_did_not_sign_now_is_unauthorized() -> None:
    for asked in (
        request(),
        request(webhook_id="a", webhook_timestamp="1", webhook_signature="v1,x"),
        signed(NEXT_SECRET),
        signed(SECRET, at_s=time.time() - 400),
        signed(SECRET, at_s=time.time() + 400),
    ):
        with pytest.raises(Problem) as problem:
            Door(Orgs(), nobody_rotates).verify(asked, org(), BODY)
        assert problem.value.status == 401
        assert SECRET[6:] not in problem.value.detail


@pytest.mark.parametrize("secret", [SECRET, None], ids=["rotates", "connects"])
def test_the_first_use_of_the_next_secret_is_told_and_of_the_old_one_is_not(
    secret: str | None,
) -> None:
    used: list[Org] = []
    rotating = org(secret=secret, next_secret=NEXT_SECRET)
    door = Door(Orgs(rotating), used.append)
    if secret:
        door.verify(signed(SECRET), rotating, BODY)
        assert used == []
    door.verify(signed(NEXT_SECRET), rotating, BODY)
    assert used == [rotating]


def test_a_promoted_secret_is_the_orgs_only_one() -> None:
    rotating = org(next_secret=NEXT_SECRET, connect_code=CODE)
    orgs = Orgs(rotating)
    orgs.promote(rotating)
    promoted = orgs.get(ORG_ID)
    assert promoted is not None
    assert promoted.keys == (key_of(NEXT_SECRET),)
    assert (promoted.secret, promoted.next_secret) == (NEXT_SECRET, None)
    assert promoted.connect_code is None


def test_a_promotion_brings_back_nothing_that_changed_while_the_request_was_read() -> None:
    as_it_came_in = org(next_secret=NEXT_SECRET)
    orgs = Orgs(org(next_secret=NEXT_SECRET, paused=True))
    orgs.promote(as_it_came_in)
    paused = orgs.get(ORG_ID)
    assert paused is not None
    assert paused.paused
    assert paused.keys == (key_of(NEXT_SECRET),)

    rotated_again = org(next_secret=new_secret())
    orgs = Orgs(rotated_again)
    orgs.promote(as_it_came_in)
    assert orgs.get(ORG_ID) is rotated_again

    gone = Orgs()
    gone.promote(as_it_came_in)
    assert gone.get(ORG_ID) is None


def test_secrets_are_held_but_what_is_said_of_the_registry_is_whether_it_was_read() -> None:
    assert Orgs().problem() == "the org registry was never read"
