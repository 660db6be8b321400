"""Who may do what: to look changes nothing, and no form counts that is not the session's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from ops.console_tokens import Role

if TYPE_CHECKING:
    from tests.browser.conftest import Visit
    from tests.browser.scene import Scene

# One set of processes and one browser for all, on one loop.
pytestmark = pytest.mark.asyncio(loop_scope="session")

STATE = "SELECT count(*) FROM rule WHERE rule = 'late-but-welcome' AND state = 'active'"


def rule_path(played: Scene) -> str:
    return f"/rules/{played.org.org_id}/late-but-welcome"


async def test_a_link_with_a_token_signs_in_with_one_click_and_leaves_no_token_behind(
    played: Scene, visit: Visit
) -> None:
    async with visit() as page:
        await page.goto(f"/sign-in#{played.tokens[Role.OPERATE]}")
        await page.wait_for_url("**/flow")
        await expect(page.get_by_text("may operate")).to_be_visible()
        await page.go_back()
        assert played.tokens[Role.OPERATE] not in page.url


async def test_a_wrong_token_is_refused_in_words(visit: Visit) -> None:
    async with visit(refusals=1) as page:
        await page.goto("/rules")
        await page.get_by_label("Token").fill("pcon_0000000000000000_" + "A" * 43)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is no token, or it was revoked.")


async def test_the_view_role_is_offered_no_change_and_refused_one(
    played: Scene, visit: Visit
) -> None:
    async with visit(Role.VIEW, refusals=1) as page:
        for path in (rule_path(played), f"/orgs/{played.org.org_id}", "/dead", "/enrollments"):
            await page.goto(path)
            posts = page.locator("main form[method=post]")
            await expect(posts).to_have_count(0)
        token = await page.locator("input[name=form_token]").first.input_value()
        await page.goto(rule_path(played))
        # As somebody would who writes the form by hand, with a token that is theirs.
        await page.evaluate(
            """([action, token]) => {
                const form = document.createElement("form");
                form.method = "post"; form.action = action;
                const field = document.createElement("input");
                field.name = "form_token"; field.value = token;
                form.append(field); document.body.append(form); form.submit();
            }""",
            [f"{rule_path(played)}/disable", token],
        )
        await expect(page.get_by_role("alert")).to_contain_text("change nothing")
    assert (await played.penstock.fetch(STATE))[0][0] == 1


@pytest.mark.parametrize("forged", ["", "forged"])
async def test_a_forged_or_missing_form_token_is_refused(
    played: Scene, visit: Visit, forged: str
) -> None:
    async with visit(Role.OPERATE, refusals=1) as page:
        await page.goto(rule_path(played))
        form = page.locator("main form[method=post]")
        await form.locator("input[name=form_token]").evaluate(
            "(field, value) => { if (value) field.value = value; else field.remove(); }", forged
        )
        await page.get_by_role("button", name="Disable").click()
        await expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    assert (await played.penstock.fetch(STATE))[0][0] == 1


async def test_who_may_operate_disables_a_rule_and_enables_it(played: Scene, visit: Visit) -> None:
    async with visit(Role.OPERATE) as page:
        await page.goto(rule_path(played))
        await page.get_by_role("button", name="Disable").click()
        await expect(page.get_by_role("button", name="Enable")).to_be_visible()
        assert (await played.penstock.fetch(STATE))[0][0] == 0
        await page.get_by_role("button", name="Enable").click()
        await expect(page.get_by_role("button", name="Disable")).to_be_visible()
    assert (await played.penstock.fetch(STATE))[0][0] == 1
