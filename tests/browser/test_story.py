"""From a bad change to the enrolment that its replay makes, as an operator sees it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from ops.console_tokens import Role
from pipeline.objects import long_id
from tests.browser.scene import LATE_EMAIL, LATE_ID, Scene, unique_email

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

# One set of processes and one browser for all, on one loop.
pytestmark = pytest.mark.asyncio(loop_scope="session")

# Processes tell what they counted every 5 s.
_TOLD_MS = 15_000


async def test_a_callout_is_seen_to_move_through_the_flow(played: Scene, visit: Visit) -> None:
    async with visit(Role.VIEW) as page:
        await expect(page.get_by_role("status")).to_have_text("live")
        taken_in = page.locator("dt", has_text="Callouts taken in").locator("xpath=../dd")
        await expect(taken_in).to_have_text(re.compile(r"[1-9]"), timeout=_TOLD_MS)
        before = int((await taken_in.inner_text()).replace(",", ""))
        lead = page.get_by_role("region", name="Lead")
        rate = lead.locator("li", has_text="Ingest").locator("dd")

        for number in range(3):
            await played.send(
                {
                    "Id": long_id(f"00Q8Z000000Flo{number}"),
                    "Status": "Qualified",
                    "Rating": "Hot",
                    "Email": unique_email(),
                }
            )
        await expect(taken_in).to_have_text(str(before + 3), timeout=_TOLD_MS)
        await expect(rate).to_have_text(re.compile(r"^0\.[1-9]/s|^[1-9]"), timeout=_TOLD_MS)
        await expect(lead.get_by_role("img").first).to_have_js_property("complete", value=True)
        drawn = await lead.get_by_role("img").first.evaluate("image => image.naturalWidth")
        assert drawn > 0


async def test_a_bad_change_is_found_planned_replayed_and_its_enrolment_explained(
    played: Scene, visit: Visit
) -> None:
    await played.send_bad()
    async with visit(Role.OPERATE) as page:
        await page.get_by_role("link", name="Dead letters").click()
        await page.get_by_label("Record").fill(LATE_ID)
        await page.get_by_role("button", name="Search").click()
        by_reason = page.get_by_role("group", name="By reason")
        await expect(by_reason).to_contain_text("out of window")
        row = page.get_by_role("group", name="Dead letters").get_by_role("row").nth(1)
        await row.get_by_role("link").first.click()
        await expect(page.locator(".note")).to_contain_text("captured_at")
        await expect(page.locator("pre")).to_contain_text(LATE_EMAIL)

        await played.mend()
        await page.get_by_role("button", name="Plan its replay").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(
            "1 dead letter would be replayed"
        )
        await page.get_by_role("button", name="Replay 1").click()
        await expect(page.get_by_role("heading", name="Progress finished")).to_be_visible()
        await expect(page.get_by_text("1 of 1 done")).to_be_visible()

        query = "SELECT count(*) FROM outbox WHERE recipient = $1 AND state = 'delivered'"
        await played.penstock.until_counted(1, query, LATE_EMAIL)
        await page.get_by_role("link", name="Enrolments").click()
        await page.get_by_label("Recipient").fill(LATE_EMAIL)
        await page.get_by_role("button", name="Show").click()
        await page.get_by_role("link", name=LATE_EMAIL).click()
        await expect(page.get_by_role("region", name="Why")).to_contain_text("LeadSource 'Import'")
        stages = page.get_by_role("region", name="When")
        await expect(stages).to_contain_text("Published again by run 1 of ada")
        for stage in ("received by ingest", "rule fired", "enrolled", "settled by the relay"):
            await expect(stages).to_contain_text(stage)

        await page.get_by_role("link", name="Audit").click()
        newest = page.get_by_role("row").nth(1)
        await expect(newest).to_contain_text("ada")
        await expect(newest).to_contain_text("dead replay")
        await expect(newest).to_contain_text("finished, 1 done")


async def test_a_replay_is_paused_resumed_and_cancelled(played: Scene, visit: Visit) -> None:
    count = 12
    for number in range(count):
        # Too far ahead of the clock for any retention: they come back, and stay dead letters.
        await played.send(
            {"Id": long_id(f"00Q8Z000000A{number:03}"), "Email": unique_email()}, age_ms=-7_500_000
        )
    dead = (
        "SELECT count(*) FROM dead_letter WHERE state = 'open' AND record_id LIKE '00Q8Z000000A%'"
    )
    await played.penstock.until_counted(count, dead)
    async with visit(Role.OPERATE) as page:
        await page.goto("/dead/plan?act=replay&reason=out_of_window")
        await page.get_by_label("At most, a second").fill("2")
        await page.get_by_role("button", name=re.compile("^Replay")).click()
        await expect(page.get_by_role("status")).to_have_text("live")
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("heading", name="Progress paused")).to_be_visible()
        await page.get_by_role("button", name="Resume").click()
        await expect(page.get_by_role("heading", name="Progress running")).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("heading", name="Progress cancelled")).to_be_visible()
        replayed = page.get_by_text(re.compile(r"^\d+ of \d+ done"))
        await expect(replayed).to_be_visible()
    # What went out came back as the dead letter that it was; nothing is lost or doubled.
    await played.penstock.until_counted(count, dead)
