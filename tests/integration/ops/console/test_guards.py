"""Who may ask for what: sessions, forms, roles, hosts, headers."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from ops import console_tokens
from ops.console_tokens import Role
from pipeline.settings import Console
from tests.console import console, form_token, sign_in, signed_in
from tests.salesforce import LEAD_ID, ORG_ID

if TYPE_CHECKING:
    from pipeline.database import Connection
    from tests.console import Client

FORM = "application/x-www-form-urlencoded"
PAUSE = f"/orgs/{ORG_ID}/pause"
PUBLIC = "console.example.com"
LOOKS = (
    "/dead",
    "/dead/plan",
    "/dead/runs",
    "/actions",
    "/flow",
    "/orgs",
    f"/orgs/{ORG_ID}",
    "/records",
    "/rules",
    "/enrollments",
)


async def is_paused(connection: Connection) -> bool:
    found: bool = await connection.fetchval("SELECT paused FROM org")
    return found


async def test_nobody_sees_a_page_before_they_signed_in(
    client: Client, connection: Connection
) -> None:
    del connection
    for path in (*LOOKS, "/", "/nowhere"):
        async with client.get(path, allow_redirects=False) as response:
            assert response.status == HTTPStatus.SEE_OTHER
            assert response.headers["Location"] == "/sign-in"
            assert ORG_ID not in await response.text()
    async with client.post(PAUSE, allow_redirects=False) as response:
        assert response.status == HTTPStatus.FORBIDDEN


async def test_every_answer_allows_nothing_from_elsewhere_and_nothing_inline(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.VIEW)
    for path in (*LOOKS, "/nowhere", "/static/console.css", "/static/nothing"):
        async with client.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none';")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "same-origin"
            text = await response.text()
            assert not re.search(r"<style|<script(?! src=\"/)|\sstyle=|\son[a-z]+=", text)


async def test_who_may_operate_changes_things(client: Client, connection: Connection) -> None:
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    async with client.post(PAUSE, data=form) as response:
        assert response.status == HTTPStatus.OK
        assert "paused" in await response.text()
    assert await is_paused(connection)


async def test_who_may_look_changes_nothing(client: Client, connection: Connection) -> None:
    await signed_in(client, connection, Role.VIEW)
    form = {"form_token": await form_token(client, "/orgs")}
    paths = {
        route.resource.canonical.replace("{org_id}", ORG_ID).replace("{id}", "1")
        for route in client.app.router.routes()
        if route.method == "POST" and route.resource is not None
    } - {"/sign-in", "/sign-out"}
    assert len(paths) > 2
    for path in (*paths, PAUSE):
        async with client.post(path, data=form) as response:
            assert response.status == HTTPStatus.FORBIDDEN, path
            assert "may look at everything and change nothing" in await response.text()
    assert not await is_paused(connection)


@pytest.mark.parametrize("forged", [None, "", "forged", "another session's"])
async def test_a_form_that_is_not_this_sessions_own_changes_nothing(
    client: Client, connection: Connection, database_url: str, forged: str | None
) -> None:
    await signed_in(client, connection, Role.OPERATE)
    if forged == "another session's":
        async with console(database_url, Console()) as other:
            forged = await form_token(other, "/sign-in")
    form = {} if forged is None else {"form_token": forged}
    async with client.post(PAUSE, data=form) as response:
        assert response.status == HTTPStatus.FORBIDDEN
    assert not await is_paused(connection)


async def test_a_form_that_another_site_sends_changes_nothing(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    for origin in ("https://elsewhere.example", "null"):
        async with client.post(PAUSE, data=form, headers={"Origin": origin}) as response:
            assert response.status == HTTPStatus.FORBIDDEN
    assert not await is_paused(connection)


async def test_revoking_a_token_ends_its_sessions_at_once(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.OPERATE)
    form = {"form_token": await form_token(client, "/orgs")}
    await console_tokens.revoke(connection, Role.OPERATE.value)
    async with client.post(PAUSE, data=form) as response:
        assert response.status == HTTPStatus.FORBIDDEN
    async with client.get("/orgs") as response:
        assert response.url.path == "/sign-in"
    assert not await is_paused(connection)


async def test_signing_out_ends_the_session_in_the_browser(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.VIEW)
    form = {"form_token": await form_token(client, "/orgs")}
    async with client.post("/sign-out", data=form) as response:
        assert response.url.path == "/sign-in"
    async with client.get("/orgs") as response:
        assert response.url.path == "/sign-in"


async def test_after_ten_wrong_tokens_a_stranger_waits_and_who_has_a_right_one_does_not(
    client: Client, connection: Connection
) -> None:
    added = await console_tokens.add(connection, "ada", Role.VIEW)
    for _ in range(10):
        assert await sign_in(client, "pcon_0000000000000000_" + "A" * 43) is HTTPStatus.UNAUTHORIZED
    assert await sign_in(client, "wrong") is HTTPStatus.TOO_MANY_REQUESTS
    assert await sign_in(client, added.token) is HTTPStatus.SEE_OTHER


async def test_wrong_tokens_are_counted_by_the_address_that_a_trusted_proxy_heard_from(
    database_url: str, connection: Connection
) -> None:
    del connection
    async with console(database_url, Console(trusted_proxies="127.0.0.0/8")) as client:
        for address, expected in (
            *[("198.51.100.1", HTTPStatus.UNAUTHORIZED)] * 10,
            ("198.51.100.1", HTTPStatus.TOO_MANY_REQUESTS),
            ("198.51.100.2", HTTPStatus.UNAUTHORIZED),
            # What it wrote itself stands before what the proxy heard.
            ("198.51.100.3, 198.51.100.1", HTTPStatus.TOO_MANY_REQUESTS),
        ):
            form = {"token": "wrong", "form_token": await form_token(client, "/sign-in")}
            headers = {"X-Forwarded-For": address}
            async with client.post("/sign-in", data=form, headers=headers) as response:
                assert response.status == expected, address


async def test_a_wrong_token_does_not_make_the_session_that_it_is_tried_in_last_longer(
    client: Client, connection: Connection
) -> None:
    await signed_in(client, connection, Role.VIEW)
    form = {"token": "wrong", "form_token": await form_token(client, "/orgs")}
    async with client.post("/sign-in", data=form) as response:
        assert response.status == HTTPStatus.UNAUTHORIZED
        assert "Set-Cookie" not in response.headers
    async with client.get("/orgs") as response:
        assert response.status == HTTPStatus.OK


async def test_it_answers_by_its_own_names_only(database_url: str, connection: Connection) -> None:
    del connection
    public = Console(public_url=f"https://{PUBLIC}")
    names = {
        "localhost:8090": True,
        "127.0.0.1": True,
        "[::1]:8090": True,
        "attacker.example": False,
        "127.0.0.1.attacker.example": False,
        f"{PUBLIC}.attacker.example": False,
    }
    for settings, by_public in ((Console(), False), (public, True)):
        async with console(database_url, settings) as client:
            for name, is_own in {**names, PUBLIC: by_public}.items():
                async with client.get("/sign-in", headers={"Host": name}) as response:
                    expected = HTTPStatus.OK if is_own else HTTPStatus.MISDIRECTED_REQUEST
                    assert response.status == expected, name


async def test_a_session_behind_tls_is_kept_for_this_host_and_for_https_alone(
    database_url: str, connection: Connection
) -> None:
    del connection
    settings = Console(public_url=f"https://{PUBLIC}")
    async with console(database_url, settings) as client, client.get("/sign-in") as response:
        cookie = response.headers["Set-Cookie"]
        assert cookie.startswith("__Host-")
        for attribute in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert attribute in cookie


async def test_what_is_not_there_is_said_in_words(client: Client, connection: Connection) -> None:
    await signed_in(client, connection, Role.VIEW)
    for path, status, words in (
        ("/nowhere", HTTPStatus.NOT_FOUND, "Not Found"),
        ("/enrollments/7", HTTPStatus.NOT_FOUND, "there is no enrolment 7"),
        ("/orgs/00D000000000000", HTTPStatus.NOT_FOUND, "is not registered"),
        ("/records?record=00Q000000000000", HTTPStatus.NOT_FOUND, "no change of record"),
        ("/enrollments?state=lost", HTTPStatus.BAD_REQUEST, "is none of pending"),
        ("/records?record=two+words", HTTPStatus.BAD_REQUEST, "neither a record nor a capture"),
        ("/records?record=none", HTTPStatus.NOT_FOUND, "among the newest 1,000,000"),
        ("/records?before=x", HTTPStatus.BAD_REQUEST, "is no place in this list"),
        (f"/dead?older={2**63 - 1}", HTTPStatus.BAD_REQUEST, "is no time"),
        ("/dead/plan?newer=253402300800000", HTTPStatus.BAD_REQUEST, "is no time"),
        ("/orgs/%00", HTTPStatus.BAD_REQUEST, "is no text"),
        (f"/rules/{ORG_ID}/a%00b", HTTPStatus.BAD_REQUEST, "is no text"),
        (f"/records/%00/{LEAD_ID}", HTTPStatus.BAD_REQUEST, "is no text"),
        ("/static/%00", HTTPStatus.BAD_REQUEST, "is no text"),
    ):
        async with client.get(path) as response:
            assert response.status == status, path
            assert words in await response.text(), path


async def test_what_no_browser_sends_is_refused_and_fails_nothing(
    client: Client, connection: Connection
) -> None:
    del connection
    async with client.get("/sign-in", headers={"Host": "[::1"}) as response:
        assert response.status == HTTPStatus.MISDIRECTED_REQUEST
    visitors = {"form_token": await form_token(client, "/sign-in")}
    async with client.post("/static/console.css", data=visitors) as response:
        assert response.status == HTTPStatus.FORBIDDEN
    for type_, body in ((FORM, b"form_token=\xff"), (f"{FORM}; charset=none", b"form_token=a")):
        async with client.post("/sign-in", data=body, headers={"Content-Type": type_}) as response:
            assert response.status == HTTPStatus.BAD_REQUEST
