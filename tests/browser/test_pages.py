"""Every page: for assistive technology, by keyboard, narrow and dark, and without JavaScript.

`make screenshots` has this write a picture of each into the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from ops.console_tokens import Role
from pipeline.objects import long_id

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.conftest import Visit
    from tests.browser.scene import Scene

# One set of processes and one browser for all, on one loop.
pytestmark = pytest.mark.asyncio(loop_scope="session")

_SCREENSHOTS: Final = os.environ.get("SCREENSHOTS")
_SERIOUS: Final = {"serious", "critical"}
_BAD_ID: Final = long_id("00Q8Z000000Bad0")


async def paths(played: Scene) -> dict[str, str]:
    """Return the addresses of every page, by a name for its picture."""
    org_id = played.org.org_id
    if not await played.penstock.fetch("SELECT FROM dead_letter WHERE record_id = $1", _BAD_ID):
        lead = {"Id": _BAD_ID, "Email": "bad@example.com"}
        await played.send(lead, age_ms=-7_500_000)
        query = "SELECT count(*) FROM dead_letter WHERE record_id = $1"
        await played.penstock.until_counted(1, query, _BAD_ID)
    (dead,) = await played.penstock.fetch("SELECT max(dead_letter_id) AS id FROM dead_letter")
    (found,) = await played.penstock.fetch(
        "SELECT enrollment_id, record_id FROM enrollment JOIN firing USING (firing_id)"
        " WHERE enrollment.sequence = 'nurture' ORDER BY enrollment_id OFFSET 1 LIMIT 1"
    )
    return {
        "flow": "/flow",
        "dead-letters": "/dead?state=any",
        "dead-letter": f"/dead/{dead['id']}",
        "plan": "/dead/plan?act=replay",
        "runs": "/dead/runs",
        "records": "/records",
        "record": f"/records/{org_id}/{found['record_id']}",
        "rules": "/rules",
        "rule": f"/rules/{org_id}/hot-leads-to-nurture?days=7",
        "enrolments": "/enrollments",
        "enrolment": f"/enrollments/{found['enrollment_id']}",
        "orgs": "/orgs",
        "org": f"/orgs/{org_id}",
        "audit": "/actions",
    }


async def _problems(page: Page) -> list[str]:
    """Return what axe-core finds serious."""
    results = await Axe().run(page)
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html']}"
        for one in results.response["violations"]
        if one["impact"] in _SERIOUS
    ]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_no_page_hinders_anybody_or_is_wider_than_the_screen(
    played: Scene, visit: Visit, width: int, color_scheme: str
) -> None:
    if _SCREENSHOTS:
        await played.fill_hour()
    found: dict[str, list[str]] = {}
    # The other two differ by what these have: a width, and colours.
    is_examined = (width, color_scheme) in {(1280, "light"), (400, "dark")}
    async with visit(Role.OPERATE, width=width, color_scheme=color_scheme) as page:
        for name, path in (await paths(played)).items():
            await page.goto(path)
            found[name] = await _problems(page) if is_examined else []
            over: Any = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if over > 0:
                found[name].append(f"{over} px wider than the screen")
            if _SCREENSHOTS:
                file = Path(_SCREENSHOTS) / f"{name}-{width}-{color_scheme}.png"
                await page.screenshot(path=file, full_page=name not in {"flow", "records"})
    assert {name: problems for name, problems in found.items() if problems} == {}


async def test_the_sign_in_page_hinders_nobody_either(visit: Visit) -> None:
    async with visit() as page:
        await page.goto("/sign-in")
        results = await Axe().run(page)
        assert [one["id"] for one in results.response["violations"]] == []
        if _SCREENSHOTS:
            await page.screenshot(path=Path(_SCREENSHOTS) / "sign-in-1280-light.png")


async def test_the_keyboard_skips_to_the_content_and_reaches_every_page(visit: Visit) -> None:
    async with visit(Role.VIEW) as page:
        await page.goto("/orgs")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to content")
        await expect(skip).to_be_focused()
        await expect(skip).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("#content")).to_be_focused()
        await page.keyboard.press("Tab")
        inside = "document.querySelector('main').contains(document.activeElement)"
        assert await page.evaluate(inside)
        menu = page.get_by_role("navigation", name="Pages").get_by_role("link")
        for place in range(await menu.count()):
            await menu.nth(place).focus()
            await expect(menu.nth(place)).to_be_focused()


async def test_everything_but_what_is_live_works_without_javascript(
    played: Scene, visit: Visit
) -> None:
    async with visit(Role.OPERATE, javascript=False) as page:
        for path in (await paths(played)).values():
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.goto("/enrollments?sequence=nurture")
        await page.locator("tbody a").first.click()
        await expect(page.get_by_role("heading", name="Why")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
