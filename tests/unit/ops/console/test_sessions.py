"""A session is as it was signed, for as long as it was given, and its forms are its own."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ops.console.sessions import Session, Sessions
from pipeline.settings import Console, Secret

KEY = Secret("k" * 32)


def cookie(sessions: Sessions, session: Session) -> tuple[str, str]:
    """Return the cookie that a browser keeps of a session: its name and value."""
    response = web.Response()
    sessions.give(response, session)
    (morsel,) = response.cookies.values()
    return morsel.key, morsel.value


def asked(name: str, value: str) -> web.Request:
    return make_mocked_request("GET", "/", headers={"Cookie": f"{name}={value}"})


@pytest.mark.parametrize("token_id", [None, "0123456789abcdef"])
def test_a_session_is_read_as_it_was_begun(token_id: str | None) -> None:
    sessions = Sessions(Console(session_key=KEY))
    session = sessions.begin(token_id)
    assert sessions.read(asked(*cookie(sessions, session))) == session


def test_a_session_that_was_altered_or_signed_by_another_key_is_none() -> None:
    sessions = Sessions(Console(session_key=KEY))
    name, value = cookie(sessions, sessions.begin("0123456789abcdef"))
    for place in (0, len(value) // 2, len(value) - 2):
        altered = value[:place] + ("B" if value[place] == "A" else "A") + value[place + 1 :]
        assert sessions.read(asked(name, altered)) is None
    assert Sessions(Console(session_key=Secret("l" * 32))).read(asked(name, value)) is None
    assert Sessions(Console()).read(asked(name, value)) is None


def test_a_session_ends_after_the_hours_that_are_set_a_visitors_after_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions = Sessions(Console(session_key=KEY, session_hours=2))
    signed_in = cookie(sessions, sessions.begin("0123456789abcdef"))
    visitor = cookie(sessions, sessions.begin())
    serializer = "itsdangerous.timed.time.time"
    import time  # noqa: PLC0415  its function is about to be replaced

    began_s = time.time()
    monkeypatch.setattr(serializer, lambda: began_s + 3700)
    assert sessions.read(asked(*signed_in)) is not None
    assert sessions.read(asked(*visitor)) is None
    monkeypatch.setattr(serializer, lambda: began_s + 7300)
    assert sessions.read(asked(*signed_in)) is None


def test_the_cookie_is_http_only_strict_and_behind_tls_secure() -> None:
    for public_url, secure in (("", False), ("https://console.example.com", True)):
        sessions = Sessions(Console(session_key=KEY, public_url=public_url))
        response = web.Response()
        sessions.give(response, sessions.begin("0123456789abcdef"))
        (morsel,) = response.cookies.values()
        assert morsel["httponly"]
        assert morsel["samesite"] == "Strict"
        assert bool(morsel["secure"]) is secure
        assert morsel.key.startswith("__Host-") is secure
        assert int(morsel["max-age"]) == 12 * 3600


def test_a_form_of_another_session_is_not_this_ones() -> None:
    sessions = Sessions(Console(session_key=KEY))
    mine, other = sessions.begin("0123456789abcdef"), sessions.begin("0123456789abcdef")
    assert sessions.is_form_token(mine, sessions.form_token(mine))
    for text in ("", "forged", sessions.form_token(other), sessions.form_token(mine)[:-1], "ü"):
        assert not sessions.is_form_token(mine, text)
