"""Every alert has a runbook of one form, whose commands exist, and a trial that follows it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

import click
import pytest

from ops.__main__ import cli
from ops.monitoring.alerts import GROUPS
from tests.alerts.faults import TRIALS
from tests.alerts.prometheus import RULES, quickened
from tests.alerts.runbook import FOLDER, sections
from tests.salesforce import ORG_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

ALERTS: Final = [alert for group in GROUPS for alert in group.alerts]
PAGES: Final = sorted({alert.runbook for alert in ALERTS})


def commands(page: str) -> Iterator[str]:
    """Return the `penstock` commands of a page, without what is set before them."""
    for section in sections(FOLDER / f"{page}.md").values():
        for command in (
            *section.commands,
            *(one for case in section.cases.values() for one in case),
        ):
            if found := re.match(r'(?:[A-Z_]+="[^"]*" )*(penstock .*)', command):
                yield found[1]


@pytest.mark.parametrize("page", PAGES)
def test_a_runbook_says_what_to_check_to_mend_and_to_verify(page: str) -> None:
    text = (FOLDER / f"{page}.md").read_text("utf-8")
    found = sections(FOLDER / f"{page}.md")
    assert list(found) == ["Check", "Mend", "Verify"]
    assert "**Symptom.**" in text.partition("## Check")[0]
    assert found["Check"].commands
    assert found["Verify"].commands
    assert found["Mend"].cases
    named = re.findall(r"`(Penstock\w+)`", text.partition("**Symptom.**")[0])
    assert set(named) == {alert.name for alert in ALERTS if alert.runbook == page}


def test_the_index_leads_from_each_alert_to_its_page() -> None:
    rows = re.findall(
        r"^\| (`Penstock.*`) \| \[.*\]\((.+)\.md\) \|$",
        (FOLDER / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    led = {name: page for names, page in rows for name in re.findall(r"`(\w+)`", names)}
    assert led == {alert.name: alert.runbook for alert in ALERTS}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_runbook_are_commands_of_penstock(page: str) -> None:
    for line in commands(page):
        # `penstock audit ORG_ID` is a command by the form of the id.
        words = shlex.split(line.replace("$ORG", ORG_ID))[1:]
        command: click.Command | None = cli
        while isinstance(command, click.Group) and words:
            _, command, words = command.resolve_command(click.Context(command), words)
        assert command is not None
        assert command is not cli, line
        known = {name for param in command.params for name in param.opts}
        options = {word for word in words if word.startswith("--")}
        assert options <= known, line


def test_every_alert_is_tried_by_a_case_of_its_runbook() -> None:
    assert [trial.alert for trial in TRIALS] == list(dict.fromkeys(trial.alert for trial in TRIALS))
    assert {trial.alert for trial in TRIALS} == {alert.name for alert in ALERTS}
    page_of = {alert.name: alert.runbook for alert in ALERTS}
    for trial in TRIALS:
        cases = sections(FOLDER / f"{page_of[trial.alert]}.md")["Mend"].cases
        assert trial.case in cases, trial.alert
        assert cases[trial.case] or trial.by_hand is not None, trial.alert


def test_a_trial_shortens_every_time_of_the_rules_and_nothing_else() -> None:
    rules = RULES.read_text("utf-8")
    quick = quickened(rules, 3)
    assert not re.search(r"\[\d+m\]|for: \d+m|\* 60\b", quick)
    assert re.sub(r"\d+s\b|\* 3\b|\d+", "", quick) == re.sub(r"\d+m\b|\* 60\b|\d+", "", rules)
